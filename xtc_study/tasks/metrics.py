"""Compute metrics by name. Imports no torch, so that planning and reports stay fast."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats
from sklearn import metrics as sk

from xtc_study.tasks.metric_names import class_of

Array = npt.NDArray[np.float64]


def _correlation(function: Callable[..., tuple[float, float]], labels: Array, predictions: Array) -> float:
    # The correlation of a constant is undefined; GLUE scores it 0, not NaN.
    if np.ptp(labels) == 0 or np.ptp(predictions) == 0:
        return 0.0
    return float(function(labels, predictions)[0])


def _pearson(labels: Array, predictions: Array) -> float:
    return _correlation(stats.pearsonr, labels, predictions)


def _spearman(labels: Array, predictions: Array) -> float:
    return _correlation(stats.spearmanr, labels, predictions)


def _f1(labels: Array, predictions: Array) -> float:
    return float(sk.f1_score(labels, predictions, pos_label=1, zero_division=0.0))


def _f1_of(labels: Array, predictions: Array, class_id: int) -> float:
    """2 TP / (2 TP + FP + FN) of one class among any number; 0 if the class never occurs."""
    return float(sk.f1_score(labels == class_id, predictions == class_id, zero_division=0.0))


def _macro_f1(labels: Array, predictions: Array) -> float:
    """Mean F1 over the classes that occur in labels or predictions, as in scikit-learn."""
    return float(sk.f1_score(labels, predictions, average="macro", zero_division=0.0))


def _mae(labels: Array, predictions: Array) -> float:
    return float(sk.mean_absolute_error(labels, predictions))


def _rmse(labels: Array, predictions: Array) -> float:
    return float(sk.root_mean_squared_error(labels, predictions))


METRICS: dict[str, Callable[[Array, Array], float]] = {
    "accuracy": lambda labels, predictions: float(sk.accuracy_score(labels, predictions)),
    "f1": _f1,
    "macro_f1": _macro_f1,
    "matthews": lambda labels, predictions: float(sk.matthews_corrcoef(labels, predictions)),
    "pearson": _pearson,
    "spearman": _spearman,
    "mae": _mae,
    "rmse": _rmse,
}
"""All lie in [-1, 1] and higher is better, except mae and rmse, which are errors in the unit of the labels. ``score``
also takes ``f1_of:ID:NAME`` (``tasks/metric_names.py``)."""


def score(metric: str, labels: Sequence[float] | Array, predictions: Sequence[float] | Array) -> float:
    """Compute a metric for one split.

    Args:
        metric: a key of ``METRICS``, or ``f1_of:ID:NAME``.
        labels: shape (n,), class ids, or targets for regression.
        predictions: shape (n,), class ids, or outputs for regression.

    Raises:
        ValueError: unknown metric, different lengths, an empty split, or values that are not finite.
    """
    class_id = class_of(metric)
    if class_id is None and metric not in METRICS:
        raise ValueError(f"unknown metric {metric!r}; expected one of {', '.join(METRICS)}, or f1_of:ID:NAME")
    truth, guess = np.asarray(labels, dtype=np.float64), np.asarray(predictions, dtype=np.float64)
    if truth.shape != guess.shape or truth.ndim != 1 or not len(truth):
        raise ValueError(f"labels {truth.shape} and predictions {guess.shape} must be 1-D, of one length, not empty")
    if not (np.isfinite(truth).all() and np.isfinite(guess).all()):
        raise ValueError(f"{metric} needs finite labels and predictions; the model's output contains NaN or infinity")
    return METRICS[metric](truth, guess) if class_id is None else _f1_of(truth, guess, class_id)


def answers_one_class(predictions: Sequence[float] | Array) -> bool:
    """Return whether the model predicts the same value for every row.

    Such a model has a Matthews correlation of 0, though its accuracy and the F1 of that class may be high.

    Args:
        predictions: shape (n,), class ids, or outputs for regression; always False for a single row.
    """
    values = np.asarray(predictions, dtype=np.float64)
    return len(values) > 1 and bool((values == values[0]).all())
