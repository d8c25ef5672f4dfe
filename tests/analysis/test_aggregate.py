from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from xtc_study.analysis.aggregate import interquartile_mean, probability_of_improvement, stratified_interval


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


def test_the_interval_holds_the_statistic_and_four_seeds_have_none() -> None:
    scores = np.random.default_rng(1).normal(0.8, 0.02, (5, 4))
    found = stratified_interval(scores)
    assert found.low < found.mean < found.high and found.n == 5
    assert found.mean == interquartile_mean(scores)
    few = stratified_interval(scores[:4])
    assert np.isnan([few.low, few.high]).all() and few.n == 4


def test_seeds_are_drawn_within_each_task() -> None:
    """Tasks that differ and seeds that do not: nothing is left to draw."""
    found = stratified_interval(np.tile([0.2, 0.5, 0.9], (5, 1)))
    assert found.low == found.high == pytest.approx(found.mean)


def test_columns_of_the_same_models_share_the_draw() -> None:
    scores = np.random.default_rng(1).normal(0.8, 0.02, (5, 1))
    twice = np.tile(scores, (1, 2))
    alone = stratified_interval(scores, np.mean)
    together = stratified_interval(twice, np.mean, models=["mnli", "mnli"])
    assert (together.low, together.high) == pytest.approx((alone.low, alone.high))
    apart = stratified_interval(twice, np.mean)
    assert apart == stratified_interval(twice, np.mean, models=["a", "b"]) and apart.high < alone.high
    with pytest.raises(ValueError, match="1 words for models"):
        stratified_interval(twice, models=["a"])


def test_golden_against_rliable() -> None:
    """rliable 1.2.0 on the same scores: aggregate_iqm, 50,000 stratified resamples, probability_of_improvement."""
    rng = np.random.default_rng(2022)
    a, b = (np.round(rng.normal(mean, 0.03, (5, 8)), 4) for mean in (0.82, 0.80))
    assert interquartile_mean(a) == pytest.approx(0.81553) and interquartile_mean(b) == pytest.approx(0.79191)
    found = stratified_interval(a, resamples=20_000)
    assert (found.low, found.high) == pytest.approx((0.80384, 0.82712), abs=4e-4)
    found = stratified_interval(b, resamples=20_000)
    assert (found.low, found.high) == pytest.approx((0.78417, 0.79870), abs=4e-4)
    assert probability_of_improvement(a, b) == pytest.approx(0.71)
