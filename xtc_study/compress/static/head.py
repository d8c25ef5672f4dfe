"""Fit the head of a static table on a task's training rows; its regularisation is chosen by cross-validation there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeCV
from sklearn.metrics import make_scorer, matthews_corrcoef
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score

Floats = npt.NDArray[np.float64]

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Inverse strengths of the penalty to choose from (scikit-learn's C)."""
PENALTIES = (1.0, 10.0, 100.0, 1e3, 1e4)
"""Ridge penalties to choose from, for regressions."""
FOLDS = 5
STEPS = 1000
"""Maximum iterations of the solver."""


class Fitted(NamedTuple):
    """A linear head, and how strongly it was regularised."""

    weight: Floats
    """(outputs, features)."""
    bias: Floats
    """(outputs,)."""
    chosen: float | None
    """The chosen C or ridge penalty; None where there was nothing to choose."""


def fit_regression(features: Floats, labels: Floats) -> Fitted:
    """Fit a line on one feature, or a ridge regression on several.

    Args:
        features: (rows, features).
        labels: (rows,).
    """
    if features.shape[1] == 1:
        line = LinearRegression().fit(features, labels)
        return Fitted(line.coef_[None], np.atleast_1d(line.intercept_), None)
    folds = min(FOLDS, len(labels))
    if folds < 2:
        return Fitted(np.zeros((1, features.shape[1])), np.atleast_1d(labels.mean()), None)
    ridge = RidgeCV(PENALTIES, cv=KFold(folds, shuffle=True, random_state=0)).fit(features, labels)
    return Fitted(ridge.coef_[None], np.atleast_1d(ridge.intercept_), float(ridge.alpha_))


def fit_classes(features: Floats, labels: npt.NDArray[np.int64], classes: int, matthews: bool = False) -> Fitted:
    """Fit a logistic regression with one output per class.

    Of two classes the outputs are plus and minus half of the log-odds. A class without training rows gets an output
    below every output of the training rows.

    Args:
        features: (rows, features).
        labels: (rows,), class ids.
        classes: number of classes of the task.
        matthews: choose by Matthews correlation in place of accuracy.
    """
    present, counts = np.unique(labels, return_counts=True)
    weight, bias = np.zeros((classes, features.shape[1])), np.full(classes, -1.0)
    if len(present) == 1:
        bias[present] = 0.0
        return Fitted(weight, bias, None)

    chosen = _strength(features, labels, int(counts.min()), matthews)
    fitted = LogisticRegression(C=chosen or 1.0, max_iter=STEPS).fit(features, labels)

    # scikit-learn gives one row for two classes, the log-odds of the second.
    rows, offsets = fitted.coef_, fitted.intercept_
    if len(present) == 2:
        rows, offsets = np.concatenate([-rows, rows]) / 2, np.concatenate([-offsets, offsets]) / 2
    if len(present) < classes:
        bias[:] = (features @ rows.T + offsets).min() - 1
    weight[present], bias[present] = rows, offsets
    return Fitted(weight, bias, chosen)


def _strength(features: Floats, labels: npt.NDArray[np.int64], smallest_class: int, matthews: bool) -> float | None:
    """Return the strength with the best mean score over the folds, of equals the strongest penalty; None: too few
    rows to hold any out."""
    folds = min(FOLDS, smallest_class)
    if folds < 2:
        return None
    parts = StratifiedKFold(folds, shuffle=True, random_state=0)
    scoring = make_scorer(matthews_corrcoef) if matthews else "accuracy"
    means = [
        cross_val_score(LogisticRegression(C=c, max_iter=STEPS), features, labels, cv=parts, scoring=scoring).mean()
        for c in STRENGTHS
    ]
    return STRENGTHS[int(np.argmax(means))]
