"""Compute the metrics of ``xtc_study.tasks.metrics`` for many weightings of the same examples at once.

A bootstrap resample is an integer weight for each example, so a metric that is a function of weighted sums
(confusion cells, moments, ranks) needs one matrix product for all resamples instead of one call for each.
Every function takes weights (resamples, examples), labels (examples,) and predictions (seeds, examples), and
returns (resamples, seeds). An example of weight 2 counts twice.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from xtc_study.tasks.metric_names import class_of

Array = npt.NDArray[np.float64]

_ROUNDING = 1e-12
"""A variance below this share of its own terms is rounding error, so the values are constant."""


def weighted_scores(metric: str, weights: Array, labels: Array, predictions: Array) -> Array:
    """Return the metric for each resample and seed: (resamples, seeds).

    Args:
        metric: a name of ``WEIGHTED_METRICS``, or ``f1_of:ID:NAME``.
        weights: (resamples, examples), how often each example counts.
        labels: (examples,).
        predictions: (seeds, examples).

    Raises:
        ValueError: unknown metric, values that are not finite, or f1 on labels other than 0 and 1.
    """
    class_id = class_of(metric)
    if class_id is None and metric not in WEIGHTED_METRICS:
        known = ", ".join(WEIGHTED_METRICS)
        raise ValueError(f"unknown metric {metric!r}; expected one of {known}, or f1_of:ID:NAME")
    if not (np.isfinite(labels).all() and np.isfinite(predictions).all()):
        raise ValueError(f"{metric} needs finite labels and predictions")
    if class_id is not None:
        return _f1_of(weights, labels, predictions, class_id)
    return WEIGHTED_METRICS[metric](weights, labels, predictions)


def _accuracy(weights: Array, labels: Array, predictions: Array) -> Array:
    shares: Array = _sums(weights, predictions == labels) / weights.sum(axis=1, keepdims=True)
    return shares


def _f1(weights: Array, labels: Array, predictions: Array) -> Array:
    """2 TP / (2 TP + FP + FN) of class 1; 0 where class 1 is neither present nor predicted, as in scikit-learn."""
    if not (np.isin(labels, (0, 1)).all() and np.isin(predictions, (0, 1)).all()):
        raise ValueError("f1 is defined here for labels 0 and 1")
    return _f1_of(weights, labels, predictions, 1)


def _f1_of(weights: Array, labels: Array, predictions: Array, value: float) -> Array:
    return _ratio(*_f1_terms(weights, labels, predictions, value))


def _f1_terms(weights: Array, labels: Array, predictions: Array, value: float) -> tuple[Array, Array]:
    """2 TP and 2 TP + FP + FN of one class."""
    hits = _sums(weights, (predictions == value) & (labels == value))
    return 2 * hits, _sums(weights, (predictions == value) * 1.0 + (labels == value))


def _macro_f1(weights: Array, labels: Array, predictions: Array) -> Array:
    """The mean F1 over the classes that occur in a resample's labels or predictions, as in scikit-learn."""
    total = np.zeros((len(weights), len(predictions)))
    classes = np.zeros_like(total)
    for value in np.union1d(labels, predictions):
        twice_hits, present_and_predicted = _f1_terms(weights, labels, predictions, value)
        total += _ratio(twice_hits, present_and_predicted)
        classes += present_and_predicted > 0
    return _ratio(total, classes)


def _mae(weights: Array, labels: Array, predictions: Array) -> Array:
    errors: Array = _sums(weights, np.abs(predictions - labels)) / weights.sum(axis=1, keepdims=True)
    return errors


def _rmse(weights: Array, labels: Array, predictions: Array) -> Array:
    errors: Array = np.sqrt(_sums(weights, (predictions - labels) ** 2) / weights.sum(axis=1, keepdims=True))
    return errors


def _matthews(weights: Array, labels: Array, predictions: Array) -> Array:
    """The multi-class coefficient R_K (Gorodkin, 2004) from weighted counts; 0 where one side is constant."""
    total = weights.sum(axis=1, keepdims=True)
    correct = _sums(weights, predictions == labels)
    covariance, labels_spread, predictions_spread = correct * total, total**2, np.tile(total**2, len(predictions))
    for value in np.union1d(labels, predictions):
        present = _sums(weights, (labels == value)[None, :])
        predicted = _sums(weights, predictions == value)
        covariance = covariance - present * predicted
        labels_spread = labels_spread - present**2
        predictions_spread = predictions_spread - predicted**2
    return _ratio(covariance, np.sqrt(labels_spread * predictions_spread))


def _pearson(weights: Array, labels: Array, predictions: Array) -> Array:
    """Moments about the unweighted mean, which keeps the sums small; 0 where one side is constant."""
    total = weights.sum(axis=1, keepdims=True)
    x, y = _centred(labels[None, :]), _centred(predictions)
    sum_x, sum_y = _sums(weights, x), _sums(weights, y)
    spread_x = _spread(total, sum_x, _sums(weights, x**2))
    spread_y = _spread(total, sum_y, _sums(weights, y**2))
    return _ratio(total * _sums(weights, x * y) - sum_x * sum_y, np.sqrt(spread_x * spread_y))


def _spearman(weights: Array, labels: Array, predictions: Array) -> Array:
    """Pearson's correlation of the mid-ranks each resample gives its examples; 0 where one side is constant."""
    x = _centred_ranks(weights, labels)
    weighted_x = weights * x
    spread_x = np.einsum("rn,rn->r", weighted_x, x)
    columns = []
    for predicted in predictions:  # one seed at a time: ranks differ by resample, so each is (resamples, examples)
        y = _centred_ranks(weights, predicted)
        spread_y = np.einsum("rn,rn->r", weights * y, y)
        columns.append(_ratio(np.einsum("rn,rn->r", weighted_x, y), np.sqrt(spread_x * spread_y)))
    return np.stack(columns, axis=1)


def _centred_ranks(weights: Array, values: Array) -> Array:
    """Return the mid-ranks of ``values`` (examples,) among the weighted examples, minus their mean.

    The result is (resamples, examples). The copies of a value take the ranks after all smaller values, so its
    mid-rank is the weight before it plus half of (its weight + 1); the mean rank is half of (total + 1). No resample
    is sorted. All terms are halves of integers, so a constant resample gives exactly 0.
    """
    order = np.argsort(values, kind="stable")
    distinct, group = np.unique(values, return_inverse=True)
    starts = np.searchsorted(values[order], distinct)
    of_value = np.add.reduceat(weights[:, order], starts, axis=1)
    up_to_value = np.cumsum(of_value, axis=1)
    ranks: Array = (up_to_value - (of_value + up_to_value[:, -1:]) / 2)[:, group]
    return ranks


def _sums(weights: Array, values: npt.NDArray[np.bool_] | Array) -> Array:
    """Return weighted sums: (resamples, examples) and (seeds, examples) give (resamples, seeds)."""
    return weights @ values.T.astype(np.float64)


def _centred(values: Array) -> Array:
    constant = np.ptp(values, axis=1, keepdims=True) == 0
    return np.where(constant, 0.0, values - values.mean(axis=1, keepdims=True))


def _spread(total: Array, sums: Array, squares: Array) -> Array:
    spread = total * squares - sums**2
    return np.where(spread > _ROUNDING * total * squares, spread, 0.0)


def _ratio(numerator: Array, denominator: Array) -> Array:
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


WEIGHTED_METRICS: dict[str, Callable[[Array, Array, Array], Array]] = {
    "accuracy": _accuracy,
    "f1": _f1,
    "macro_f1": _macro_f1,
    "matthews": _matthews,
    "pearson": _pearson,
    "spearman": _spearman,
    "mae": _mae,
    "rmse": _rmse,
}
"""The same names and values as ``xtc_study.tasks.metrics.METRICS``, without importing scikit-learn."""
