from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from xtc_study.analysis.aggregate import interquartile_mean, probability_of_improvement


def test_iqm_by_hand() -> None:
    """Of 8 scores the lowest 2 and the highest 2 are left out."""
    assert interquartile_mean(np.array([[0.0, 100], [1, 2], [3, 4], [5, 6]])) == pytest.approx((2 + 3 + 4 + 5) / 4)


def test_probability_of_improvement_by_hand_and_as_mann_whitney() -> None:
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
