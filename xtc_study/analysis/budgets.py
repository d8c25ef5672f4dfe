"""What longer training gains: each budget against the one before, and the share of the loss that it recovers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from xtc_study.analysis.claims import comparisons_of
from xtc_study.analysis.compare import TEACHER, differences
from xtc_study.analysis.factors import arms_along
from xtc_study.analysis.stats import CONFIDENCE, Difference, points
from xtc_study.arms import Arm
from xtc_study.runs.records import RunFileError


def gains(runs_folder: Path, frame: pd.DataFrame, arms: Sequence[Arm], axis: str = "budget") -> pd.DataFrame:
    """Return one row per step from a point of the axis to the next.

    Columns: from, to, times the epochs, points, 95 % interval. A step is left out if its two arms cannot be compared:
    they share no finished seed yet, or their predictions cannot be read.

    Args:
        runs_folder: contains the run folders.
        frame: rows of ``analysis.collect.collect``, of one study.
        arms: the study's arms, with their factors.
        axis: the factor whose points are compared in order.

    Raises:
        ValueError: the arms have no such axis.
    """
    epochs = frame[frame["is_primary"]].groupby("arm")["epochs"].mean()
    rows = []
    for group in arms_along(arms, axis).values():
        for shorter, longer in pairwise(arm.name for arm in group if arm.name in epochs):
            try:
                gain = differences(runs_folder, frame, shorter, {longer}).get(longer)
            except RunFileError:
                continue
            if gain:
                rows.append(
                    {
                        "from": shorter,
                        "to": longer,
                        "times the epochs": epochs[longer] / epochs[shorter],
                        "points": points(gain.mean),
                        "95 % interval": f"{points(gain.low)} to {points(gain.high)}",
                    }
                )
    return pd.DataFrame(rows, columns=["from", "to", "times the epochs", "points", "95 % interval"])


def gap_closed(runs_folder: Path, frame: pd.DataFrame, arms: Sequence[Arm], axis: str = "budget") -> pd.DataFrame:
    """Return, for each later point of the axis, the share of the first point's gap to the teacher that it closes.

    Columns: ``arm``; ``lost at first`` and ``lost now`` (points below the teacher); ``share closed``, which is
    (arm - first) / (teacher - first) and 1 where the arm reaches the teacher; ``low`` and ``high``, the 95 %
    percentile interval of the share, over draws that use the same examples but independent seeds for both arms
    (``analysis.stats.macro_difference``). The share is NaN if the first point's interval is not wholly below the
    teacher: then there is no gap to close. The bounds are NaN in that case, and with one seed or unequal seeds done.

    Args:
        runs_folder: contains the run folders.
        frame: rows of ``analysis.collect.collect``, of one study.
        arms: the study's arms, with their factors.
        axis: the factor whose first point sets the gap.

    Raises:
        ValueError: the arms have no such axis.
    """
    to_teacher = comparisons_of(runs_folder, frame, [], TEACHER, own_streams=True)[0][TEACHER]
    rows = []
    for group in arms_along(arms, axis).values():
        first = to_teacher.get(group[0].name)
        for arm in group[1:]:
            if first and (now := to_teacher.get(arm.name)):
                share, low, high = _share(first, now)
                rows.append(
                    {
                        "arm": arm.name,
                        "lost at first": -100 * first.mean,
                        "lost now": -100 * now.mean,
                        "share closed": share,
                        "low": low,
                        "high": high,
                    }
                )
    return pd.DataFrame(rows, columns=["arm", "lost at first", "lost now", "share closed", "low", "high"])


def _share(first: Difference, now: Difference) -> tuple[float, float, float]:
    """Return the share of the first loss that was recovered, and the ends of its interval."""
    nan = float("nan")
    if first.high >= 0:
        return nan, nan, nan
    share = 1 - now.mean / first.mean
    if not first.seeds_counted or (first.n_seeds, first.n_examples) != (now.n_seeds, now.n_examples):
        return share, nan, nan
    tail = 100 * (1 - CONFIDENCE) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = np.percentile(1 - now.drawn / first.drawn, [tail, 100 - tail])
    return share, float(low), float(high)
