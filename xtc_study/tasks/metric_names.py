"""The names of metrics: which there are, which way is better, and how a reader sees them. Imports nothing heavy.

``f1_of:1:fraud`` is the F1 of class 1, called fraud: predictions are stored as class ids, so the name carries both.
Plain ``f1`` is that of class 1 of GLUE's and the generated tasks; a description of your own data names the class.
"""

from __future__ import annotations

import re
from typing import Literal, get_args

ClassMetric = Literal["accuracy", "f1", "matthews", "macro_f1"]
ScoreMetric = Literal["pearson", "spearman", "mae", "rmse"]
CLASS_METRICS: tuple[ClassMetric, ...] = get_args(ClassMetric)
SCORE_METRICS: tuple[ScoreMetric, ...] = get_args(ScoreMetric)
"""The metrics of ``xtc_study.tasks.metrics`` that suit a classification, and a regression."""
LOWER_IS_BETTER = ("mae", "rmse")
"""Errors in the unit of the labels. They are never a task's first metric: verdicts, intervals in points, and the
choice of the best file take a first metric from -1 to 1 of which more is better."""
F1_OF = "f1_of:"


def f1_of(class_id: int, name: str) -> str:
    """The metric's name: ``f1_of(1, "fraud")`` is ``f1_of:1:fraud``."""
    return f"{F1_OF}{class_id}:{name}"


def class_of(metric: str) -> int | None:
    """The class id of an ``f1_of`` metric; None for any other."""
    match = re.match(rf"{F1_OF}(\d+):", metric)
    return int(match.group(1)) if match else None


def in_words(metric: str) -> str:
    """As a reader sees it: ``f1 of fraud``, and other metrics as they are."""
    return metric if class_of(metric) is None else f"f1 of {metric.split(':', 2)[2]}"


def higher_is_better(metric: str) -> bool:
    """False for errors, of which less is better."""
    return metric not in LOWER_IS_BETTER
