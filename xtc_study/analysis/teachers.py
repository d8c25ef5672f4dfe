"""Scores and sizes of the teachers in a frame, each counted once: a teacher appears in every run of its students."""

from __future__ import annotations

import pandas as pd


def teachers_score(primary: pd.DataFrame) -> float:
    """Return the teachers' mean score: over seeds, then over tasks and splits, like an arm's score.

    NaN if a task has no teacher: a mean over the other tasks could not be compared with an arm's score.

    Args:
        primary: rows of ``analysis.collect.collect`` of the primary metric.
    """
    each = _once(primary, ["task", "split", "seed", "teacher_value"])
    return float(each.groupby(["task", "split"])["teacher_value"].mean().mean(skipna=False))


def teachers_size(primary: pd.DataFrame) -> float:
    """Return the mean size of the teachers' files in bytes: over seeds, then over tasks."""
    each = _once(primary, ["task", "seed", "teacher_size_bytes"])
    return float(each.groupby("task")["teacher_size_bytes"].mean().mean())


def _once(primary: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    return primary.reindex(columns=columns).drop_duplicates()
