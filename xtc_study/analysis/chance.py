"""What a model scores that never looks at its input: the floor every arm must clear."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from xtc_study.analysis.collect import predictions
from xtc_study.training.metrics import score


def chance(metric: str, labels: npt.NDArray[np.float64]) -> float:
    """The best score of one constant answer on these labels; 0 for Matthews and the correlations."""
    return max(score(metric, labels, np.full(len(labels), value)) for value in np.unique(labels))


def chance_by_task(runs_folder: Path, frame: pd.DataFrame) -> dict[str, float]:
    """The primary metric's chance level of each task, on its first split; from the labels stored with any of its runs.

    Raises:
        RunFileError: that run's predictions cannot be read.
    """
    levels = {}
    for task, rows in frame[frame["is_primary"]].groupby("task", sort=False):
        first = rows.iloc[0]
        table = predictions(runs_folder, first["run_id"])
        labels = table.loc[table["split"] == first["split"], "label"].to_numpy(np.float64)
        levels[str(task)] = chance(str(first["metric"]), labels)
    return levels
