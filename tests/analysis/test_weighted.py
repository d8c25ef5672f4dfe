from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from xtc_study.analysis.weighted import WEIGHTED_METRICS, weighted_scores
from xtc_study.tasks.metrics import METRICS as EVERY
from xtc_study.tasks.metrics import score

CLASSES = {"accuracy": 3, "matthews": 3, "f1": 2, "macro_f1": 3, "f1_of:2:rare": 3}
METRICS = [*EVERY, "f1_of:2:rare"]


def test_every_metric_of_tasks_has_a_weighted_version() -> None:
    assert set(WEIGHTED_METRICS) == set(EVERY)


@given(data=st.data(), metric=st.sampled_from(sorted(METRICS)))
@settings(max_examples=150, deadline=None)
def test_a_weight_of_k_equals_k_copies(data: st.DataObject, metric: str) -> None:
    n = data.draw(st.integers(1, 12))
    kinds = CLASSES.get(metric)
    # eighths, so that ties occur and a constant sample is constant to the last bit
    value = st.integers(0, kinds - 1) if kinds else st.integers(-40, 40).map(lambda i: i / 8)
    row = st.lists(value, min_size=n, max_size=n)
    labels = np.array(data.draw(row), dtype=float)
    predictions = np.array([data.draw(row) for _ in range(2)], dtype=float)
    weights = np.array([data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)) for _ in range(2)], dtype=float)
    weights[weights.sum(axis=1) == 0, 0] = 1
    got = weighted_scores(metric, weights, labels, predictions)
    for r, weight in enumerate(weights.astype(int)):
        for s, predicted in enumerate(predictions):
            expected = score(metric, np.repeat(labels, weight), np.repeat(predicted, weight))
            assert got[r, s] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("metric", sorted(METRICS))
@pytest.mark.parametrize("seed", range(3))
def test_unit_weights_give_the_score_of_scikit_learn_and_scipy(metric: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    if metric in CLASSES:
        labels, predictions = rng.integers(0, CLASSES[metric], (2, 300)).astype(float)
    else:
        labels = rng.normal(3, 1, 300).round(1)
        predictions = labels + rng.normal(size=300)
    got = weighted_scores(metric, np.ones((1, 300)), labels, predictions[None])
    assert got.shape == (1, 1)
    assert got[0, 0] == pytest.approx(score(metric, labels, predictions), abs=1e-12)


def test_resamples_without_a_class_score_as_in_scikit_learn() -> None:
    labels, guess = np.array([0.0, 1, 2, 0, 1]), np.array([[0.0, 1, 1, 0, 0]])
    weights = np.array([[1.0, 1, 1, 1, 1], [2, 0, 0, 1, 1], [0, 0, 3, 0, 0]])
    expected = [
        sk.f1_score(labels, guess[0], average="macro", sample_weight=weight, zero_division=0.0, labels=classes)
        for weight, classes in zip(weights, ([0, 1, 2], [0, 1], [1, 2]), strict=True)
    ]
    assert weighted_scores("macro_f1", weights, labels, guess)[:, 0] == pytest.approx(expected)
    far = labels * 1e5
    for metric, theirs in (("mae", sk.mean_absolute_error), ("rmse", sk.root_mean_squared_error)):
        expected = [theirs(far, guess[0], sample_weight=weight) for weight in weights]
        assert weighted_scores(metric, weights, far, guess)[:, 0] == pytest.approx(expected)


def test_hand_computed_matthews_and_f1() -> None:
    # TP 3, FN 1, FP 2, TN 4: f1 = 6/9; matthews = (3*4 - 2*1) / sqrt(5*4*6*5)
    labels = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0.0])
    guess = np.array([[1, 1, 1, 0, 1, 1, 0, 0, 0, 0.0]])
    once = np.ones((1, 10))
    assert weighted_scores("f1", once, labels, guess).item() == pytest.approx(6 / 9)
    assert weighted_scores("matthews", once, labels, guess).item() == pytest.approx(10 / np.sqrt(600))


@pytest.mark.parametrize("metric", ["pearson", "spearman", "matthews"])
def test_a_constant_prediction_scores_zero(metric: str) -> None:
    labels = np.array([0.0, 1, 0, 1])
    assert weighted_scores(metric, np.ones((1, 4)), labels, np.full((1, 4), 0.1)).item() == 0


def test_a_constant_resample_of_a_varied_sample_scores_zero() -> None:
    labels = np.array([0.1, 0.2, 0.7, 1.9])
    weights = np.array([[0, 0, 3, 0.0]])
    assert weighted_scores("pearson", weights, labels, labels[None] / 3).item() == 0


def test_unknown_metrics_and_bad_values_are_errors() -> None:
    one = np.ones((1, 1))
    with pytest.raises(ValueError, match="unknown metric 'recall'"):
        weighted_scores("recall", one, one[0], one)
    with pytest.raises(ValueError, match="finite"):
        weighted_scores("pearson", one, one[0], one * np.nan)
    with pytest.raises(ValueError, match="0 and 1"):
        weighted_scores("f1", one, one[0] * 2, one)
