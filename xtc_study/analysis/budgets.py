"""What more training brings: the gain of each budget over the one before, and how much of the loss it takes away."""

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
    """One row a step from a point of the axis to the next: from, to, times the epochs, points, 95 % interval.

    Steps whose two arms cannot be compared (yet, or for their predictions cannot be read) are left out.

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
    """How much of what the axis's first point is below the teacher each later point makes up for.

    One row a later arm: ``arm``, ``lost at first`` and ``lost now`` (points below the teacher), ``share closed``, that
    is (arm - first) / (teacher - first), 1 where the teacher is reached, and its 95 % percentile interval ``low`` to
    ``high`` over draws with the same examples for both and seeds of their own (``analysis.stats.macro_difference``).
    The share is NaN where the first point is not surely below the teacher (there is no gap to close), and the bounds
    also with one seed or unequal seeds done.

    Raises:
        ValueError: the arms have no such axis.
    """
    below = comparisons_of(runs_folder, frame, [], TEACHER, own_streams=True)[0][TEACHER]
    rows = []
    for group in arms_along(arms, axis).values():
        first = below.get(group[0].name)
        for arm in group[1:]:
            if first and (now := below.get(arm.name)):
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
    """The share of the first loss that is made up for, and the ends of its interval."""
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
