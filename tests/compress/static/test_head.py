from __future__ import annotations

import numpy as np
import pytest

from xtc_study.compress.static.head import STRENGTHS, fit_classes, fit_regression


def test_one_feature_gives_the_line_through_the_points() -> None:
    fitted = fit_regression(np.array([[0.0], [0.5], [1.0]]), np.array([1.0, 2.0, 3.0]))
    assert (
        fitted.weight.shape == (1, 1)
        and fitted.weight[0, 0] == pytest.approx(2)
        and fitted.bias[0] == pytest.approx(1)
    )
    assert fitted.chosen is None


def test_several_features_choose_their_penalty() -> None:
    x = np.random.default_rng(0).normal(size=(60, 3))
    fitted = fit_regression(x, x @ np.array([1.0, -2.0, 0.5]) + 4)
    assert fitted.chosen == 1.0 and fitted.weight.shape == (1, 3)
    assert fitted.weight[0] == pytest.approx([1, -2, 0.5], abs=0.1) and fitted.bias[0] == pytest.approx(4, abs=0.1)


def test_two_classes_are_opposite_halves_of_the_log_odds() -> None:
    x = np.random.default_rng(1).normal(size=(200, 2))
    labels = (x[:, 0] > 0).astype(np.int64)
    fitted = fit_classes(x, labels, 2)
    assert (fitted.weight[0] == -fitted.weight[1]).all() and fitted.bias[0] == -fitted.bias[1]
    assert fitted.chosen in STRENGTHS
    assert ((x @ fitted.weight.T + fitted.bias).argmax(1) == labels).mean() > 0.95


def test_of_equal_strengths_the_smallest_is_chosen() -> None:
    """Separable by far: every strength is right on every row, so the strongest penalty is enough."""
    x = np.repeat(np.array([[-100.0], [100.0]]), 20, axis=0)
    assert fit_classes(x, np.repeat([0, 1], 20), 2).chosen == STRENGTHS[0]


def test_a_class_without_rows_is_never_predicted() -> None:
    x = np.random.default_rng(2).normal(size=(90, 2))
    labels = np.where(x[:, 0] > 0, 2, 0)
    fitted = fit_classes(x, labels, 3)
    logits = x @ fitted.weight.T + fitted.bias
    assert set(logits.argmax(1)) == {0, 2} and (fitted.weight[1] == 0).all()
    only = fit_classes(x, np.full(90, 1), 3)
    assert only.chosen is None and ((x @ only.weight.T + only.bias).argmax(1) == 1).all()


def test_too_few_rows_for_folds_choose_nothing() -> None:
    fitted = fit_classes(np.array([[-1.0], [1.0], [2.0]]), np.array([0, 1, 1]), 2)
    assert fitted.chosen is None and fitted.weight[1, 0] > 0
    assert fit_regression(np.array([[1.0, 2.0]]), np.array([3.0])).bias[0] == 3
