from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fabricate import make_done_run, plan_runs

from xtc_study.analysis.best_of_budget import TaskBudgets, task_budgets, with_encoder, without_encoder
from xtc_study.analysis.collect import collect
from xtc_study.analysis.compare import differences
from xtc_study.studies import PlannedRun

ARMS = {"8-bit": 8, "2-bit": 2, "1-bit": 1}
SIZES = {8: 2_000_000, 2: 1_000_000, 1: 500_000}
RIGHT = {8: 0.9, 2: 0.9, 1: 0.6}
BUDGETS = [0.4, 0.5, 1, 2, 90]


def done(runs: Path, seeds: int = 5) -> tuple[list[PlannedRun], pd.DataFrame]:
    planned = plan_runs(ARMS, ("toy-pairs",), seeds)
    for run in planned:
        bits = run.recipe.weight_bits
        make_done_run(runs, run, RIGHT[bits], size_bytes=SIZES[bits], teacher_size_bytes=5_000_000)
    return planned, collect(runs, planned)


def only(frame: pd.DataFrame, runs: Path | None) -> TaskBudgets:
    (task,) = task_budgets(frame, runs, BUDGETS)
    return task


def test_each_budget_has_its_best_arm_and_the_number_of_arms(tmp_path: Path) -> None:
    task = only(done(tmp_path)[1], tmp_path)
    line = task.best()
    assert [(best.budget_mb, best.chosen_from) for best in line] == [(0.5, 1), (1, 2), (2, 3), (90, 3)]
    scores = {arm.arm: arm.score for arm in task.arms}
    winner = max(("8-bit", "2-bit"), key=lambda arm: scores[arm])
    assert [best.arm.arm for best in line] == ["1-bit", "2-bit", winner, winner]
    assert line[0].optimism == 0, "one arm is no choice"
    assert line[2].optimism > 0, "two arms are about equally good"
    assert task.majority == 0.5 and task.teacher_bytes == 5_000_000


def test_the_interval_is_that_of_the_examples_and_the_seeds(tmp_path: Path) -> None:
    """Both sources of error are known here: 200 examples that are right with probability 0.6, in five seeds."""
    best = only(done(tmp_path)[1], tmp_path).best()[0]
    assert best.arm.arm == "1-bit" and best.low < best.arm.score < best.high
    predicted = [
        pd.read_parquet(tmp_path / run_id / "predictions.parquet").eval("prediction == label").to_numpy(float)
        for run_id in best.arm.runs.values()
    ]
    by_seed = np.mean(predicted, axis=1)
    examples = np.mean(predicted, axis=0).std() / np.sqrt(200)
    half = (best.high - best.low) / 2
    assert half > 1.9 * math.hypot(examples, by_seed.std(ddof=1) / np.sqrt(5))
    assert half < 3.2 * math.hypot(examples, by_seed.std(ddof=1) / np.sqrt(5)), "t with four degrees: 2.78"


def test_a_gain_is_the_difference_of_the_study_less_what_the_choices_add(tmp_path: Path) -> None:
    _, frame = done(tmp_path)
    task = only(frame, tmp_path)
    smallest, second = task.best()[:2]
    gain = task.gain(second, smallest)
    expected = differences(tmp_path, frame, "1-bit", ["2-bit"])["2-bit"]
    assert gain.mean == pytest.approx(expected.mean) and gain.detectable == pytest.approx(expected.detectable)
    assert gain.low == pytest.approx(expected.low - gain.optimism)
    assert gain.high == pytest.approx(expected.high - gain.optimism)
    assert gain.optimism == second.optimism - smallest.optimism and gain.low > 0.1


def test_four_seeds_give_a_difference_but_no_interval_of_one_arm(tmp_path: Path) -> None:
    task = only(done(tmp_path, seeds=4)[1], tmp_path)
    line = task.best()
    assert all(math.isnan(best.low) for best in line) and not math.isnan(line[1].optimism)
    assert not math.isnan(task.gain(line[1], line[0]).low)


def test_one_seed_gives_no_interval_at_all(tmp_path: Path) -> None:
    task = only(done(tmp_path, seeds=1)[1], tmp_path)
    line = task.best()
    gain = task.gain(line[1], line[0])
    assert math.isnan(line[0].low) and math.isnan(gain.low) and math.isnan(gain.detectable) and gain.mean > 0


def test_without_predictions_the_choice_is_the_same_and_intervals_are_missing(tmp_path: Path) -> None:
    _, frame = done(tmp_path)
    known, bare = only(frame, tmp_path), only(frame, None)
    assert [best.arm for best in bare.best()] == [best.arm for best in known.best()]
    smallest, second = bare.best()[:2]
    gain = bare.gain(second, smallest)
    assert (
        math.isnan(second.optimism) and math.isnan(second.low) and math.isnan(gain.low) and math.isnan(bare.majority)
    )
    assert gain.mean == pytest.approx(second.arm.score - smallest.arm.score) and bare.unreadable == len(bare.arms)


def test_an_arm_with_damaged_predictions_competes_without_an_interval(tmp_path: Path) -> None:
    planned, frame = done(tmp_path)
    bad = next(run for run in planned if run.arm == "1-bit")
    (tmp_path / bad.run_id / "predictions.parquet").write_bytes(b"no parquet")
    task = only(frame, tmp_path)
    line = task.best()
    assert line[0].arm.arm == "1-bit" and math.isnan(line[0].optimism) and task.unreadable == 1
    assert not math.isnan(line[1].low) and math.isnan(task.gain(line[1], line[0]).low)


def test_seeds_that_only_one_arm_has_are_left_out_of_a_difference(tmp_path: Path) -> None:
    _, frame = done(tmp_path)
    fewer = frame[(frame["arm"] != "1-bit") | (frame["seed"] < 2)]
    task = only(fewer, tmp_path)
    smallest, second = task.best()[:2]
    means = fewer[fewer["is_primary"] & (fewer["seed"] < 2)].groupby("arm")["value"].mean()
    assert task.gain(second, smallest).mean == pytest.approx(means["2-bit"] - means["1-bit"])


def test_a_table_without_a_transformer_is_compared_with_every_seed_of_an_encoder(tmp_path: Path) -> None:
    _, frame = done(tmp_path)
    tables = frame.assign(static=frame["weight_bits"].where(frame["weight_bits"] == 1))
    task = only(tables[(tables["weight_bits"] != 1) | (tables["seed"] == 0)], tmp_path)
    (encoder, *_), (table, *_) = task.best(with_encoder), task.best(without_encoder)
    assert (encoder.budget_mb, table.budget_mb) == (1, 0.5) and table.arm.static and table.arm.seeds == 1
    assert not math.isnan(table.low), "no seed changes a table, so one run shows all that its interval needs"
    gain = task.gain(encoder, table)
    assert gain.mean == pytest.approx(encoder.arm.score - table.arm.score) and gain.low > 0
    assert task.gain(table, table).detectable == 0, "of a table and itself nothing is open"


@pytest.mark.parametrize("budgets", [[0], [-1], [math.nan], ["4"], [True], [], "4"])
def test_a_budget_that_is_none_is_named(budgets: list[float], tmp_path: Path) -> None:
    _, frame = done(tmp_path, seeds=1)
    with pytest.raises(ValueError, match=r"budgets_mb: .*expected a .*MB, such as"):
        task_budgets(frame, None, budgets)
