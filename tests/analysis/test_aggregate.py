from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fabricate import TASKS, make_done_run, plan_runs
from scipy.stats import mannwhitneyu

from xtc_study.analysis.aggregate import interquartile_mean, probability_of_improvement, robust_scores
from xtc_study.analysis.collect import collect


def test_iqm_by_hand() -> None:
    """Of 8 scores the lowest 2 and the highest 2 are left out."""
    assert interquartile_mean(np.array([[0.0, 100], [1, 2], [3, 4], [5, 6]])) == pytest.approx((2 + 3 + 4 + 5) / 4)


def test_probability_of_improvement_by_hand_and_against_mann_whitney() -> None:
    arm, reference = np.array([[1.0], [3.0]]), np.array([[2.0], [3.0], [0.0]])
    assert probability_of_improvement(arm, reference) == pytest.approx((1 + 2.5) / 6)
    rng = np.random.default_rng(0)
    arm, reference = rng.normal(size=(7, 3)), rng.normal(size=(5, 3))
    expected = [mannwhitneyu(arm[:, task], reference[:, task]).statistic / 35 for task in range(3)]
    assert probability_of_improvement(arm, reference) == pytest.approx(np.mean(expected))


def test_golden_against_rliable() -> None:
    """rliable 1.2.0 on the same scores: aggregate_iqm, probability_of_improvement."""
    rng = np.random.default_rng(2022)
    a, b = (np.round(rng.normal(mean, 0.03, (5, 8)), 4) for mean in (0.82, 0.80))
    assert interquartile_mean(a) == pytest.approx(0.81553) and interquartile_mean(b) == pytest.approx(0.79191)
    assert probability_of_improvement(a, b) == pytest.approx(0.71)


def test_robust_scores_by_arm(tmp_path: Path) -> None:
    planned = plan_runs({"32-bit": 32, "1-bit": 1, "2-bit": 2})
    lacking = ("2-bit", TASKS[1], 0), ("2-bit", TASKS[1], 1), ("2-bit", TASKS[1], 2), ("1-bit", TASKS[1], 2)
    for run in planned:
        if (run.arm, run.recipe.task, run.recipe.seed) not in lacking:
            make_done_run(tmp_path, run, 0.7 if run.arm == "1-bit" else 0.9)
    frame = collect(tmp_path, planned)
    table = robust_scores(frame, "32-bit").set_index("arm")
    assert table["seeds"].to_dict() == {"32-bit": 3, "1-bit": 2}, "one seed lacks a task, and an arm lacks one in all"
    scores = frame.query("is_primary and arm == '1-bit' and seed < 2")["value"].to_numpy()
    assert table.loc["1-bit", "iqm"] == pytest.approx(100 * interquartile_mean(scores))
    assert table["beats_reference"].to_dict() == {"32-bit": 0.5, "1-bit": 0.0}
    assert robust_scores(frame, "2-bit")["beats_reference"].isna().all(), "the reference has no score of its own"
