from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest
from fabricate import make_done_run, plan_runs, write_json

from xtc_study.analysis.baselines import Baseline, baselines, small_models
from xtc_study.analysis.collect import collect
from xtc_study.recipe import Recipe
from xtc_study.studies import PlannedRun

TASKS = ("toy-sentiment", "toy-pairs")


def static_run(runs: Path, task: str, width: int, bits: int, value: float, **fields: object) -> PlannedRun:
    recipe = Recipe.of(task=task, static=width, embedding_bits=bits, **fields)
    planned = PlannedRun("22_static", recipe.run_id, f"{width}, {bits}", recipe)
    row = {"split": "dev", "metric": "accuracy", "value": value, "n_examples": 200}
    make_done_run(runs, planned, latency_ms=0.5, rows=[row], size_bytes=1000 * bits)
    return planned


@pytest.fixture
def frame(tmp_path: Path) -> pd.DataFrame:
    planned = plan_runs({"1-bit": 1}, TASKS, seeds=2)
    for run in planned:
        make_done_run(tmp_path, run)
    return collect(tmp_path, planned)


def named(found: list[Baseline], kind: str) -> dict[str, Baseline]:
    return {one.name: one for one in found if one.kind == kind}


def test_one_answer_and_the_teacher_are_always_there(tmp_path: Path, frame: pd.DataFrame) -> None:
    found = baselines(tmp_path, frame)
    assert [one.kind for one in found] == ["majority", "teacher"], "no table was made and nothing published fits"
    assert found[0].score == 0.5 and math.isnan(found[0].size_bytes), "half of the labels are 1"
    assert found[1].size_bytes == 460_000
    assert found[1].score == pytest.approx(frame.loc[frame["is_primary"], "teacher_value"].mean())


def test_the_usual_table_and_the_best_one_stand_beside(tmp_path: Path, frame: pd.DataFrame) -> None:
    for width, bits, values in ((128, 1, (0.7, 0.6)), (256, 8, (0.8, 0.7)), (64, 1, (0.6, 0.6)), (64, 4, (0.99,))):
        for task, value in zip(TASKS, values, strict=False):
            static_run(tmp_path, task, width, bits, value)
    tables = named(baselines(tmp_path, frame), "static table")
    assert list(tables) == ["128 dimensions, 1 bit", "256 dimensions, 8 bits"], "64 x 4 lacks a task"
    assert tables["128 dimensions, 1 bit"].score == pytest.approx(0.65)
    assert tables["256 dimensions, 8 bits"].size_bytes == 8000
    assert tables["128 dimensions, 1 bit"].latency_ms == 0.5
    assert tables["128 dimensions, 1 bit"].latency_of == "1x128, 1 thread, numba engine, a CPU"


def test_tables_of_another_encoder_or_not_done_or_the_studys_own_are_left_out(
    tmp_path: Path, frame: pd.DataFrame
) -> None:
    for task in TASKS:
        static_run(tmp_path, task, 128, 1, 0.7, model="another")
        unreadable = static_run(tmp_path, task, 128, 8, 0.9)
        (tmp_path / unreadable.run_id / "metrics.json").write_text("{")
        failed = static_run(tmp_path, task, 128, 4, 0.9)
        write_json(tmp_path / failed.run_id / "status.json", {"state": "failed"})
    assert not named(baselines(tmp_path, frame), "static table")
    own = [static_run(tmp_path, task, 128, 1, 0.7) for task in TASKS]
    assert named(baselines(tmp_path, frame), "static table")
    assert not named(baselines(tmp_path, collect(tmp_path, own)), "static table")


def test_published_models_need_every_task_and_no_more_bytes_than_the_teacher(
    tmp_path: Path, frame: pd.DataFrame
) -> None:
    glue = frame[frame["is_primary"]].assign(
        task=["stsb", "stsb", "mrpc", "mrpc"], metric=["pearson", "pearson", "accuracy", "accuracy"]
    )
    found = named(baselines(tmp_path, glue.assign(teacher_size_bytes=90_000_000)), "published")
    assert list(found) == ["BERT-Tiny", "BERT-Mini"], "BERT-Small takes 115 MB"
    tiny = found["BERT-Tiny"]
    assert tiny.score == pytest.approx((0.743 + 0.711) / 2) and tiny.size_bytes == 17_544_712
    assert "(read: " in tiny.note and "google-research/bert" in tiny.note and "test set" in tiny.note
    assert not named(baselines(tmp_path, glue.assign(metric="f1")), "published")


def test_without_runs_or_with_two_encoders_there_is_nothing_to_stand_beside(
    tmp_path: Path, frame: pd.DataFrame
) -> None:
    assert baselines(tmp_path, frame.iloc[:0]) == []
    assert baselines(tmp_path, frame.assign(model=["a", *["b"] * (len(frame) - 1)])) == []


def test_every_published_score_has_a_source_and_a_size() -> None:
    table = small_models()
    assert (table.groupby("model")["task"].count() == 9).all() and table.notna().all().all()
    assert set(table["status"]) <= {"read", "derived", "recalled"} and table["value"].between(0, 100).all()
