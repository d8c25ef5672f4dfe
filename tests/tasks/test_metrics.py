from __future__ import annotations

import math

import pytest

from xtc_study.tasks.metrics import METRICS, answers_one_class, score


@pytest.mark.parametrize(
    ("metric", "labels", "predictions", "expected"),
    [
        ("accuracy", [0, 1, 2, 2], [0, 1, 1, 2], 0.75),
        ("f1", [1, 1, 1, 0, 0], [1, 1, 0, 1, 0], 2 / 3),
        ("f1", [0, 0], [0, 0], 0.0),
        ("f1", [1, 0, 0], [0, 0, 0], 0.0),
        # tp 2, tn 1, fp 1, fn 1: (2*1 - 1*1) / sqrt(3*3*2*2)
        ("matthews", [1, 1, 1, 0, 0], [1, 1, 0, 1, 0], 1 / 6),
        ("matthews", [1, 0, 1], [1, 0, 1], 1.0),
        ("matthews", [1, 0, 1], [0, 1, 0], -1.0),
        ("matthews", [1, 0, 1], [1, 1, 1], 0.0),
        # deviations -1 0 1 and -2 1 1: 3 / sqrt(2 * 6)
        ("pearson", [1, 2, 3], [1, 4, 4], 3 / math.sqrt(12)),
        ("pearson", [1, 2, 3], [5, 5, 5], 0.0),
        ("pearson", [2, 2, 2], [1, 2, 3], 0.0),
        ("spearman", [1, 2, 3, 4], [1, 10, 100, 1000], 1.0),
        ("spearman", [1, 2, 3, 4], [2, 1, 4, 3], 0.6),
        ("spearman", [1, 2, 3], [0.5, 0.5, 0.5], 0.0),
        # classes 0, 1, 2: 2/3, 1/2, 0 (class 2 is predicted and never right)
        ("macro_f1", [0, 0, 1, 1], [0, 2, 1, 0], (1 / 2 + 2 / 3 + 0) / 3),
        ("f1_of:0:no", [0, 0, 1, 1], [0, 2, 1, 0], 1 / 2),
        ("f1_of:1:yes: or so", [0, 0, 1, 1], [0, 2, 1, 0], 2 / 3),
        ("f1_of:3:never", [0, 0, 1, 1], [0, 2, 1, 0], 0.0),
        ("mae", [100_000, 400_000], [110_000, 370_000], 20_000),
        ("rmse", [1, 2, 3, 4], [1, 2, 3, 8], 2.0),
    ],
)
def test_metrics_match_hand_computed_values(
    metric: str, labels: list[float], predictions: list[float], expected: float
) -> None:
    assert score(metric, labels, predictions) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("bad", [math.nan, math.inf], ids=str)
def test_non_finite_values_are_refused(metric: str, bad: float) -> None:
    with pytest.raises(ValueError, match=f"{metric} needs finite"):
        score(metric, [0, 1, 1], [0, bad, 1])
    with pytest.raises(ValueError, match=f"{metric} needs finite"):
        score(metric, [0, bad, 1], [0, 1, 1])


@pytest.mark.parametrize(
    ("labels", "predictions"),
    [([], []), ([1], [1, 0]), ([[1, 0]], [[1, 0]])],
    ids=["empty", "other length", "two dimensions"],
)
def test_mismatched_shapes_are_refused(labels: list, predictions: list) -> None:
    with pytest.raises(ValueError, match="must be 1-D, of one length, not empty"):
        score("accuracy", labels, predictions)


def test_unknown_metric_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"unknown metric 'auc'; expected one of accuracy, f1, macro_f1, .*, or f1_of:ID:NAME"
    ):
        score("auc", [1], [1])
    with pytest.raises(ValueError, match="unknown metric 'f1_of:fraud'"):
        score("f1_of:fraud", [1], [1])


def test_constant_predictions_score_high_f1_and_are_detected() -> None:
    """5 % fraud, and a model that never predicts it."""
    labels, predictions = [1] * 5 + [0] * 95, [0] * 100
    assert score("f1_of:0:legit", labels, predictions) == pytest.approx(2 * 95 / (2 * 95 + 5))
    assert score("f1_of:1:fraud", labels, predictions) == score("matthews", labels, predictions) == 0
    assert answers_one_class(predictions) and not answers_one_class([*predictions, 1])
    assert answers_one_class([2.5, 2.5]) and not answers_one_class([1]) and not answers_one_class([])
