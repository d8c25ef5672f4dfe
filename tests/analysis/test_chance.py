"""The score of a model that never looks."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fabricate import TASKS, make_done_run, plan_runs, split_in_two

from xtc_study.analysis.chance import chance, chance_by_task
from xtc_study.analysis.collect import collect

LABELS = np.array([1.0, 1.0, 1.0, 0.0])


@pytest.mark.parametrize(
    ("metric", "level"),
    [
        *(("accuracy", 0.75), ("f1", 2 * 0.75 / 1.75), ("matthews", 0.0), ("pearson", 0.0)),
        *(("f1_of:0:rare", 0.4), ("macro_f1", 3 / 7), ("mae", 0.25), ("rmse", 3**0.5 / 4)),
    ],
)
def test_chance_is_the_best_constant_answer(metric: str, level: float) -> None:
    assert chance(metric, LABELS) == pytest.approx(level)


def test_a_regression_of_many_labels_takes_no_time() -> None:
    start = time.process_time()
    assert chance("spearman", np.linspace(0, 5, 20_000)) == 0.0
    assert time.process_time() - start < 0.5


def test_each_split_with_rows_has_its_own_chance_level(tmp_path: Path) -> None:
    planned = plan_runs({"1-bit": 1}, TASKS[:1], seeds=1)
    folder = split_in_two(make_done_run(tmp_path, planned[0]))
    path = folder / "predictions.parquet"
    table = pd.read_parquet(path)
    table.assign(label=table["label"].mask(table["split"] == "other", 1)).to_parquet(path)
    frame = collect(tmp_path, planned)
    assert chance_by_task(tmp_path, frame) == {(TASKS[0], "dev"): 0.5, (TASKS[0], "other"): 1.0}
    table[table["split"] == "dev"].to_parquet(path)
    assert chance_by_task(tmp_path, frame) == {(TASKS[0], "dev"): 0.5}


def test_runs_with_unreadable_predictions_are_skipped(tmp_path: Path) -> None:
    planned = plan_runs({"1-bit": 1}, TASKS[:1], seeds=2)
    for run in planned:
        make_done_run(tmp_path, run)
    (tmp_path / planned[0].run_id / "predictions.parquet").write_bytes(b"")
    assert chance_by_task(tmp_path, collect(tmp_path, planned)) == {(TASKS[0], "dev"): 0.5}
