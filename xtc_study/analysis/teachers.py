"""The teachers of a frame, each counted once: a teacher has a row in every run that learned from it."""

from __future__ import annotations

import pandas as pd


def teachers_score(primary: pd.DataFrame) -> float:
    """The teachers' mean score, each counted once: over seeds, then over tasks and splits, as an arm's score is.

    NaN where a task has none: a mean over other tasks is no arm's to compare with.

    Args:
        primary: rows of ``analysis.collect.collect`` of the primary metric.
    """
    each = _once(primary, ["task", "split", "seed", "teacher_value"])
    return float(each.groupby(["task", "split"])["teacher_value"].mean().mean(skipna=False))


def teachers_size(primary: pd.DataFrame) -> float:
    """The mean bytes of the teachers' files, each counted once: over seeds, then over tasks."""
    each = _once(primary, ["task", "seed", "teacher_size_bytes"])
    return float(each.groupby("task")["teacher_size_bytes"].mean().mean())


def _once(primary: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    return primary.reindex(columns=columns).drop_duplicates()
