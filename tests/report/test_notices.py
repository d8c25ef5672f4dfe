"""What the scores of a study do not show is said beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fabricate import make_done_run, plan_runs, split_in_two, write_json
from fabricate_report import section

from xtc_study.analysis.collect import collect
from xtc_study.report.notices import notices_of
from xtc_study.studies import PlannedRun

LENGTHS = {"rows": 200, "max_length": 48, "longest": 117, "median": 107, "holds_95": 116}


def done(folder: Path, planned: list[PlannedRun], **changed: Any) -> None:
    for run in planned:
        make_done_run(folder, run, **(changed if run.arm == "1-bit" else {}))


def test_one_answer_for_every_row_is_named(tmp_path: Path) -> None:
    planned = plan_runs({"32-bit": 32, "1-bit": 1}, ("toy-sentiment",), seeds=2)
    done(tmp_path, planned, one_answer={"dev": "<b>legit</b>"})
    frame = collect(tmp_path, planned)
    assert frame["one_answer"].notna().sum() == 4 and set(frame.loc[frame["one_answer"].notna(), "arm"]) == {"1-bit"}
    assert notices_of(frame) == [
        "One answer for every row of toy-sentiment dev, '<b>legit</b>': 1-bit (seeds 0, 1). Such a model tells no two "
        "texts apart: its Matthews correlation, or its correlation with the labels, is 0, whatever the score."
    ]
    page = section(planned, tmp_path)
    assert page.limits[0] == notices_of(frame)[0]


def test_texts_that_are_cut_are_counted(tmp_path: Path) -> None:
    planned = plan_runs({"1-bit": 1}, ("toy-sentiment",), seeds=1)
    done(tmp_path, planned, lengths={"dev": {**LENGTHS, "cut": 150}, "train": {**LENGTHS, "cut": 3}})
    frame = collect(tmp_path, planned)
    assert frame["rows_cut"].tolist() == [150, 150]
    assert notices_of(frame) == [
        "75% of the rows of toy-sentiment dev are longer than max_length=128 tokens and were read in part."
    ]


def test_nothing_is_said_of_few_or_of_earlier_runs(tmp_path: Path) -> None:
    few, earlier = plan_runs({"1-bit": 1}, ("toy-sentiment", "toy-pairs"), seeds=1)
    make_done_run(tmp_path, few, lengths={"dev": {**LENGTHS, "cut": 10}}, one_answer={})
    split_in_two(make_done_run(tmp_path, earlier))
    frame = collect(tmp_path, [few, earlier])
    assert frame["rows_cut"].isna().sum() == 4 and frame["one_answer"].isna().all() and notices_of(frame) == []


def test_metrics_that_are_errors(tmp_path: Path) -> None:
    (run,) = plan_runs({"1-bit": 1}, ("toy-sentiment",), seeds=1)
    folder = make_done_run(tmp_path, run)
    metrics = json.loads((folder / "metrics.json").read_text())
    first = metrics["rows"][0]
    metrics["rows"] = [
        {**first, "metric": "pearson"},
        {**first, "metric": "mae", "value": 20_000.5, "teacher_value": 10_000.0, "best_value": None},
        {**first, "metric": "f1_of:1:fraud", "best_value": None},
    ]
    write_json(folder / "metrics.json", metrics)
    frame = collect(tmp_path, [run])
    assert frame["higher_is_better"].tolist() == [True, False, True] and frame["value"][1] == 20_000.5
    for wrong in ({"metric": "pearson", "value": 1.5}, {"metric": "rmse", "value": -1}, {"metric": "f1_of:fraud"}):
        write_json(folder / "metrics.json", {**metrics, "rows": [{**first, "best_value": None, **wrong}]})
        assert collect(tmp_path, [run]).empty, wrong


@pytest.mark.parametrize("field", ["rows_cut", "one_answer"])
def test_a_table_of_an_earlier_version_keeps_its_rows(field: str, tmp_path: Path) -> None:
    from xtc_study.analysis.collect import merged

    planned = plan_runs({"1-bit": 1}, ("toy-sentiment",), seeds=1)
    done(tmp_path, planned)
    frame = collect(tmp_path, planned)
    frame.assign(study="another").drop(columns=field).to_parquet(tmp_path / "old.parquet")
    assert merged(frame, ["bits"], tmp_path / "old.parquet")["study"].tolist() == ["another"] * 2 + ["bits"] * 2
