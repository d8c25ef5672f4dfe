from __future__ import annotations

import math

import pytest

from xtc_study.training.metrics import METRICS, score


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
    ],
)
def test_by_hand(metric: str, labels: list[float], predictions: list[float], expected: float) -> None:
    assert score(metric, labels, predictions) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("bad", [math.nan, math.inf], ids=str)
def test_values_that_are_not_finite(metric: str, bad: float) -> None:
    with pytest.raises(ValueError, match=f"{metric} needs finite"):
        score(metric, [0, 1, 1], [0, bad, 1])
    with pytest.raises(ValueError, match=f"{metric} needs finite"):
        score(metric, [0, bad, 1], [0, 1, 1])


@pytest.mark.parametrize(
    ("labels", "predictions"),
    [([], []), ([1], [1, 0]), ([[1, 0]], [[1, 0]])],
    ids=["empty", "other length", "two dimensions"],
)
def test_shapes_that_do_not_fit(labels: list, predictions: list) -> None:
    with pytest.raises(ValueError, match="must be 1-D, of one length, not empty"):
        score("accuracy", labels, predictions)


def test_an_unknown_metric() -> None:
    with pytest.raises(
        ValueError, match="unknown metric 'auc'; expected one of accuracy, f1, matthews, pearson, spearman"
    ):
        score("auc", [1], [1])
