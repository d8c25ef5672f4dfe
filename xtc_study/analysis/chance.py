"""What a model scores that never looks at its input: the floor every arm must clear."""

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
"""What these score for a constant answer, whatever it is."""


def chance(metric: str, labels: npt.NDArray[np.float64]) -> float:
    """The best score of one constant answer on these labels; 0 for Matthews and the correlations.

    For the errors mae and rmse, of which less is better, that is the median's and the mean's.
    """
    if metric in ALWAYS_0:
        return 0.0
    if metric in LOWER_IS_BETTER:
        answer = np.median(labels) if metric == "mae" else np.mean(labels)
        return score(metric, labels, np.full(len(labels), answer))
    return max(score(metric, labels, np.full(len(labels), value)) for value in np.unique(labels))


def chance_by_task(runs_folder: Path, frame: pd.DataFrame) -> dict[tuple[str, str], float]:
    """The primary metric's chance level of each task and split; from the labels stored with any of its runs.

    A task and split of which no run's predictions can be read, or hold a row, has none.
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
