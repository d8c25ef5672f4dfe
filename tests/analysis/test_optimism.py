from __future__ import annotations

import numpy as np
import pytest

from xtc_study.analysis.optimism import ChoiceDraws


def test_two_arms_that_are_right_on_one_row_each() -> None:
    """Of the draws of two rows a half has one row twice; there the arm that is right on it scores 1, not 1/2."""
    arms = [np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])]
    draws = ChoiceDraws("accuracy", np.ones(2), arms, [True, True], resamples=8000)
    assert draws.observed.tolist() == [0.5, 0.5]
    assert draws.optimism([0, 1]) == pytest.approx(0.25, abs=0.01)
    assert draws.optimism([0]) == draws.optimism([]) == 0.0, "where nothing is chosen, nothing is added"


def test_a_clear_winner_needs_no_correction() -> None:
    rng = np.random.default_rng(1)
    arms = [(rng.random((1, 500)) < right).astype(float) for right in (0.9, 0.6, 0.5)]
    assert abs(ChoiceDraws("accuracy", np.ones(500), arms, [True] * 3).optimism([0, 1, 2])) < 0.002


def test_of_twenty_equal_arms_most_of_the_luck_is_found_and_the_interval_covers_the_truth() -> None:
    """In the draws the arms differ by the luck that they had already, so the factor is 1 / sqrt(2)."""
    rng = np.random.default_rng(2)
    found, true = [], []
    for _ in range(80):
        arms = [(rng.random((1, 300)) < 0.7).astype(float) for _ in range(20)]
        draws = ChoiceDraws("accuracy", np.ones(300), arms, [True] * 20, resamples=60)
        found.append(draws.optimism(range(20)))
        true.append(draws.observed.max() - 0.7)
    assert np.mean(found) / np.mean(true) == pytest.approx(1 / np.sqrt(2), abs=0.08)
    half = 1.96 * np.sqrt(0.7 * 0.3 / 300)
    left = np.subtract(true, found)
    assert (np.abs(true) <= half).mean() < 0.75, "what the best of many scores is no estimate with its interval"
    assert (np.abs(left) <= half).mean() > 0.9


def test_the_spread_of_seeds_is_pooled_and_a_seedless_arm_has_none() -> None:
    """Each seed is right everywhere or nowhere, so drawing rows changes nothing: only the seeds' noise is left."""
    right, wrong = np.ones((1, 10)), np.zeros((1, 10))
    luck, steady = np.concatenate([right, wrong]), np.concatenate([right, right])
    draws = ChoiceDraws("accuracy", np.ones(10), [luck, steady, right], [False, False, True], resamples=4000)
    assert draws.observed.tolist() == [0.5, 1.0, 1.0]
    pooled = (0.5 + 0.0) / 2  # variances of both arms, each of one degree of freedom
    assert draws.drawn[:, :2].std(axis=0) == pytest.approx([np.sqrt(pooled / 2)] * 2, rel=0.05)
    assert draws.drawn[:, 2].std() == 0
