"""The chance level: the score of a model that ignores its input, which every arm must beat."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from xtc_study.analysis.compare import one_split
from xtc_study.runs.records import RunFileError
from xtc_study.tasks.metric_names import LOWER_IS_BETTER
from xtc_study.tasks.metrics import score

ALWAYS_0 = ("matthews", "pearson", "spearman")
"""Metrics that are 0 for any constant answer."""


def chance(metric: str, labels: npt.NDArray[np.float64]) -> float:
    """Return the best score of one constant answer on these labels; 0 for Matthews and the correlations.

    The best constant is the median of the labels for mae and their mean for rmse; for both errors lower is better.

    Args:
        metric: a name of ``xtc_study.tasks.metrics.METRICS``.
        labels: (examples,).
    """
    if metric in ALWAYS_0:
        return 0.0
    if metric in LOWER_IS_BETTER:
        answer = np.median(labels) if metric == "mae" else np.mean(labels)
        return score(metric, labels, np.full(len(labels), answer))
    return max(score(metric, labels, np.full(len(labels), value)) for value in np.unique(labels))


def chance_by_task(runs_folder: Path, frame: pd.DataFrame) -> dict[tuple[str, str], float]:
    """Return the primary metric's chance level by task and split, from the labels stored with one of its runs.

    A task and split has no entry if none of its runs has predictions that can be read.

    Args:
        runs_folder: contains the run folders.
        frame: rows of ``analysis.collect.collect``.
    """
    levels = {}
    for key, rows in frame[frame["is_primary"]].groupby(["task", "split", "metric"], sort=False):
        task, split, metric = map(str, key)
        for run_id in rows["run_id"]:
            try:
                labels = one_split(runs_folder, str(run_id), split)["label"].to_numpy(np.float64)
            except RunFileError:
                continue  # the labels are the same in every run
            levels[task, split] = chance(metric, labels)
            break
    return levels
