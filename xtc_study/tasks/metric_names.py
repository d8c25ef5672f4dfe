"""Metric names: which ones exist, whether higher is better, and how they are shown. Imports nothing heavy.

``f1_of:1:fraud`` is the F1 of class 1, called fraud: predictions are stored as class ids, so the name carries both.
Plain ``f1`` is the F1 of class 1 in GLUE and generated tasks; a description of your own data names its class.
"""

from __future__ import annotations

import re
from typing import Literal, get_args

ClassMetric = Literal["accuracy", "f1", "matthews", "macro_f1"]
ScoreMetric = Literal["pearson", "spearman", "mae", "rmse"]
CLASS_METRICS: tuple[ClassMetric, ...] = get_args(ClassMetric)
SCORE_METRICS: tuple[ScoreMetric, ...] = get_args(ScoreMetric)
"""The metrics of ``xtc_study.tasks.metrics`` for classification and for regression."""
LOWER_IS_BETTER = ("mae", "rmse")
"""Errors in the unit of the labels. They are never a task's first metric: verdicts, intervals in points and the choice
of the best file need a first metric between -1 and 1 for which higher is better."""
F1_OF = "f1_of:"


def f1_of(class_id: int, name: str) -> str:
    """Return the name of one class's F1: ``f1_of(1, "fraud")`` is ``f1_of:1:fraud``."""
    return f"{F1_OF}{class_id}:{name}"


def class_of(metric: str) -> int | None:
    """Return the class id of an ``f1_of`` metric, or None for any other metric."""
    match = re.match(rf"{F1_OF}(\d+):", metric)
    return int(match.group(1)) if match else None


def in_words(metric: str) -> str:
    """Return the name as reports show it: ``f1 of fraud``; other metrics are unchanged."""
    return metric if class_of(metric) is None else f"f1 of {metric.split(':', 2)[2]}"


def higher_is_better(metric: str) -> bool:
    """Return False for errors, where lower is better, and True for every other metric."""
    return metric not in LOWER_IS_BETTER
