from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from fabricate import make_done_run, plan_runs, write_json

from xtc_study.analysis.collect import (
    COLUMNS,
    RunFileError,
    collect,
    compact_layers,
    merged,
    predictions,
    shape_words,
    states,
)
from xtc_study.recipe import Recipe
from xtc_study.studies import PlannedRun


def test_each_metric_has_one_row_with_every_recipe_field(tmp_path: Path) -> None:
    planned = plan_runs({"1-bit": 1}, ("toy-sentiment",), seeds=1)
    make_done_run(tmp_path, planned[0], size_bytes=1234)
    frame = collect(tmp_path, planned)
    assert list(frame["metric"]) == ["accuracy", "f1"]
    assert list(frame["is_primary"]) == [True, False]
    row = frame.iloc[0]
    assert (row["study"], row["arm"], row["run_id"], row["task"]) == (
        "bits", "1-bit", planned[0].run_id, "toy-sentiment",
    )  # fmt: skip
    assert (row["weight_bits"], row["layers"], row["size_bytes"], row["duration_s"]) == (1, "all", 1234, 12.5)
    assert row["versions"] == '{"numpy":"2.3","torch":"2.9.0"}'
    assert row["started"].startswith("2026-05-04") and row["higher_is_better"]
    assert set(Recipe.model_fields) <= set(frame.columns)
    assert pd.isna(frame["best_value"][1]) and pd.isna(frame["embedding_bits"][0])


def test_empty_and_full_frames_have_the_same_columns_and_dtypes(tmp_path: Path) -> None:
    planned = plan_runs(seeds=1)
    empty = collect(tmp_path, planned)
    for run in planned:
        make_done_run(tmp_path, run)
    full = collect(tmp_path, planned)
    assert empty.empty and len(full) == 16
    assert list(empty.columns) == list(full.columns) == list(COLUMNS)
    assert (empty.dtypes == full.dtypes).all()
    assert states(tmp_path, []).dtypes.equals(states(tmp_path, planned).dtypes)


def test_the_frame_round_trips_through_csv(tmp_path: Path) -> None:
    recipe = Recipe(task="toy-pairs", layers=(3,))
    planned = [PlannedRun("s", recipe.run_id, "one", recipe)]
    make_done_run(tmp_path, planned[0])
    frame = collect(tmp_path, planned)
    again = pd.read_csv(io.StringIO(frame.to_csv(index=False)), dtype=COLUMNS)
    pd.testing.assert_frame_equal(frame, again)


@pytest.mark.parametrize(("layers", "text"), [(None, "all"), (3, "3"), ((1, 3, 5), "1.3.5"), ((3,), "3.")])
def test_compact_layers(layers: int | tuple[int, ...] | None, text: str) -> None:
    assert compact_layers(layers) == text


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "all"),
        ({"layers": "1/1"}, "all"),
        ({"layers": "1/2", "ffn": "1/1"}, "1/2"),
        ({"teacher_layers": "1/2"}, "all of 1/2"),
        ({"layers": (1, 3), "ffn": "1/4"}, "1.3, width 1/4"),
    ],
)
def test_shape_words(tmp_path: Path, fields: dict, text: str) -> None:
    recipe = Recipe(task="toy-pairs", **fields)
    planned = [PlannedRun("s", recipe.run_id, "one", recipe)]
    make_done_run(tmp_path, planned[0])
    assert shape_words(collect(tmp_path, planned).iloc[0]) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("status.json", "{"),
        ("status.json", "[]"),
        ("metrics.json", '{"rows": ['),
        ("metrics.json", '{"rows": []}'),
        (
            "metrics.json",
            '{"rows": [{"split": "dev"}], "size_bytes": 1, "size_bytes_paper": 1, "teacher_size_bytes": 1}',
        ),
        ("params.json", ""),
        ("params.json", "[1]"),
        ("environment.json", "\udcff"),
        ("environment.json", None),
    ],
)
def test_a_run_with_a_corrupt_file_is_corrupt_and_has_no_row(tmp_path: Path, name: str, text: str | None) -> None:
    planned = plan_runs({"1-bit": 1}, ("toy-sentiment",), seeds=2)
    for run in planned:
        make_done_run(tmp_path, run)
    path = tmp_path / planned[0].run_id / name
    path.unlink() if text is None else path.write_bytes(text.encode(errors="surrogateescape"))
    assert set(collect(tmp_path, planned)["run_id"]) == {planned[1].run_id}
    first = states(tmp_path, planned).iloc[0]
    assert first["state"] == "corrupt" and name in first["error"] and planned[0].run_id in first["error"]


def test_a_value_that_is_not_finite_is_corrupt(tmp_path: Path) -> None:
    (run,) = plan_runs({"1-bit": 1}, ("toy-sentiment",), seeds=1)
    row = {"split": "dev", "metric": "accuracy", "value": float("nan"), "n_examples": 3}
    make_done_run(tmp_path, run, rows=[row])
    assert states(tmp_path, [run])["state"].item() == "corrupt"


@pytest.mark.parametrize(
    "changed",
    [
        {"size_bytes": -5},
        *(
            {"rows": [{"split": "dev", "metric": "accuracy", "value": 0.5, "n_examples": 3} | row]}
            for row in ({"value": 17.0}, {"metric": "bleu"}, {"n_examples": -1}, {"best_value": -2.0})
        ),
    ],
    ids=str,
)
def test_impossible_numbers_are_corrupt(tmp_path: Path, changed: dict) -> None:
    (run,) = plan_runs({"1-bit": 1}, ("toy-sentiment",), seeds=1)
    make_done_run(tmp_path, run, **changed)
    assert states(tmp_path, [run])["state"].item() == "corrupt"


def test_states(tmp_path: Path) -> None:
    missing, running, failed, done, said_failed, started_only, cut_off = plan_runs(
        {"1-bit": 1}, ("toy-sentiment",), seeds=7
    )
    write_json(tmp_path / running.run_id / "claim.json", {"token": "t", "host": "another-machine"})
    write_json(tmp_path / cut_off.run_id / "claim.json", {"token": "t"})  # and no process holds its lock
    write_json(tmp_path / running.run_id / "error.json", {"type": "Old", "message": "from an earlier try"})
    write_json(tmp_path / failed.run_id / "error.json", {"type": "MemoryError", "message": "no room", "cell": 7})
    make_done_run(tmp_path, done)
    write_json(tmp_path / said_failed.run_id / "status.json", {"state": "timeout"})
    write_json(tmp_path / started_only.run_id / "params.json", {})
    table = states(tmp_path, [missing, running, failed, done, said_failed, started_only, cut_off])
    assert list(table.columns) == ["run_id", "arm", "task", "seed", "state", "error"]
    assert list(table["state"]) == ["missing", "running", "failed", "done", "failed", "missing", "interrupted"]
    assert list(table["error"]) == [
        "",
        "",
        "MemoryError: no room (cell 7)",
        "",
        "status.json has state 'timeout'",
        "",
        "",
    ]
    assert list(collect(tmp_path, [missing, running, failed, done])["run_id"].unique()) == [done.run_id]


def test_a_corrupt_error_file_does_not_raise(tmp_path: Path) -> None:
    (run,) = plan_runs({"1-bit": 1}, ("toy-sentiment",), seeds=1)
    write_json(tmp_path / run.run_id / "error.json", [])
    assert states(tmp_path, [run])["state"].item() == "failed"


def test_predictions_are_checked(tmp_path: Path) -> None:
    (run,) = plan_runs({"1-bit": 1}, ("toy-sentiment",), seeds=1)
    with pytest.raises(RunFileError, match=r"predictions\.parquet"):
        predictions(tmp_path, run.run_id)
    path = make_done_run(tmp_path, run) / "predictions.parquet"
    frame = pd.read_parquet(path)
    frame.sample(frac=1, random_state=0).to_parquet(path)
    assert list(predictions(tmp_path, run.run_id)["idx"]) == list(range(200))
    pd.concat([frame, frame[:1]]).to_parquet(path)
    with pytest.raises(RunFileError, match="twice"):
        predictions(tmp_path, run.run_id)
    frame.drop(columns="label").to_parquet(path)
    with pytest.raises(RunFileError, match="label"):
        predictions(tmp_path, run.run_id)
    path.write_bytes(b"not parquet")
    with pytest.raises(RunFileError, match=run.run_id):
        predictions(tmp_path, run.run_id)


def test_merged_keeps_rows_of_other_studies_and_replaces_those_of_the_same(tmp_path: Path) -> None:
    first, second = plan_runs({"1-bit": 1}, ("toy-sentiment",), seeds=2)
    for run in (first, second):
        make_done_run(tmp_path, run)
    file = tmp_path / "results.parquet"
    both = merged(collect(tmp_path, [first, second]), ["bits"], file)
    assert len(both) == 4, "two runs with two metrics, and no table before"
    both.to_parquet(file)
    other = collect(tmp_path, [replace(second, study="depth")])
    table = merged(other, ["depth"], file)
    assert list(table["study"]) == ["bits"] * 4 + ["depth"] * 2 and dict(table.dtypes) == dict(both.dtypes)
    table.to_parquet(file)
    table = merged(collect(tmp_path, [first]), ["bits"], file)
    assert list(table["study"]) == ["depth"] * 2 + ["bits"] * 2
    assert list(merged(collect(tmp_path, []), ["bits"], file)["study"]) == ["depth"] * 2
    file.write_text("damaged")
    assert len(merged(other, ["depth"], file)) == 2


def test_merged_keeps_the_rows_of_a_table_without_version_columns(tmp_path: Path) -> None:
    (run,) = plan_runs({"1-bit": 1}, ("toy-pairs",), seeds=1)
    make_done_run(tmp_path / "runs", run)
    frame = collect(tmp_path / "runs", [run])
    old = frame.assign(study="another").drop(columns=["recipe_version", "method_version"])
    old.to_parquet(tmp_path / "results.parquet")
    table = merged(frame, ["bits"], tmp_path / "results.parquet")
    assert list(table["study"]) == ["another"] * 2 + ["bits"] * 2 and list(table["method_version"]) == [1] * 4
