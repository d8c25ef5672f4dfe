from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest
from fabricate import TASKS, make_done_run, plan_runs

from xtc_study.analysis.collect import collect, states
from xtc_study.analysis.score_tables import arm_table, run_table, task_table
from xtc_study.analysis.stats import Difference
from xtc_study.studies import PlannedRun

FOUND = Difference(-0.0123, -0.02, 0.001, n_seeds=3, n_examples=400, resamples=2000, rng_seed=0)


@pytest.fixture
def study(tmp_path: Path) -> tuple[Path, list[PlannedRun]]:
    planned = plan_runs({"1-bit": 1, "32-bit": 32})
    for run in planned:
        make_done_run(tmp_path, run, 0.95 if run.arm == "32-bit" else 0.8)
    return tmp_path, planned


def test_the_reference_comes_first_and_scores_are_macro_means(study: tuple[Path, list[PlannedRun]]) -> None:
    frame = collect(*study)
    table = arm_table(frame, "32-bit", {"1-bit": FOUND}).set_index("arm")
    assert list(table.index) == ["32-bit", "1-bit"]
    primary = frame[(frame["metric"] == "accuracy") & (frame["arm"] == "1-bit")]
    assert table.loc["1-bit", "score"] == pytest.approx(primary["value"].mean())
    assert table.loc["1-bit", "score_low"] < table.loc["1-bit", "score"] < table.loc["1-bit", "score_high"]
    assert table.loc["1-bit", "difference"] == FOUND.mean and math.isnan(table.loc["32-bit", "difference"])
    assert (table["seeds"] == 3).all() and (table["tasks"] == 2).all()
    assert table.loc["1-bit", "size_bytes"] == 33_750 and table.loc["1-bit", "size_bytes_paper"] == 13_750
    assert table.loc["1-bit", "ratio"] == pytest.approx(460_000 / 33_750)


def test_only_seeds_with_every_task_done_count(study: tuple[Path, list[PlannedRun]]) -> None:
    runs, planned = study
    shutil.rmtree(runs / planned[0].run_id)
    table = arm_table(collect(runs, planned), "32-bit").set_index("arm")
    assert table["seeds"].to_dict() == {"32-bit": 3, "1-bit": 2}


def test_only_the_arm_that_lacks_a_task_has_no_score(
    study: tuple[Path, list[PlannedRun]],
) -> None:
    runs, planned = study
    before = arm_table(collect(runs, planned), "32-bit").set_index("arm")
    for run in planned:
        if run.arm == "1-bit" and run.recipe.task == TASKS[0]:
            shutil.rmtree(runs / run.run_id)
    table = arm_table(collect(runs, planned), "32-bit").set_index("arm")
    assert table[["tasks", "tasks_expected"]].to_numpy().tolist() == [[2, 2], [1, 2]]
    assert math.isnan(table.loc["1-bit", "score"]) and table.loc["1-bit", "seeds"] == 0
    assert table.loc["32-bit", "score"] == before.loc["32-bit", "score"]


def test_each_task_has_its_own_rows(study: tuple[Path, list[PlannedRun]]) -> None:
    frame = collect(*study)
    row = task_table(frame, "32-bit").set_index(["task", "arm"]).loc[(TASKS[1], "1-bit")]
    values = frame.query("is_primary and arm == '1-bit' and task == @TASKS[1]")["value"]
    assert [row["score_low"], row["score"], row["score_high"]] == [values.min(), values.mean(), values.max()]
    assert row["seeds"] == 3 and row["metric"] == "accuracy" and row["split"] == "dev"


def test_every_planned_run_has_one_row_with_its_state(study: tuple[Path, list[PlannedRun]]) -> None:
    runs, planned = study
    shutil.rmtree(runs / planned[0].run_id)
    table = run_table(states(runs, planned), collect(runs, planned), {planned[1].run_id: "method version 1, now 2"})
    assert list(table["run_id"]) == [run.run_id for run in planned]
    assert list(table["state"][:3]) == ["missing", "stale", "done"]
    assert math.isnan(table.loc[0, "score"]) and table.loc[1:, "score"].notna().all()
