"""Find the best point of an axis, and whether it lies at an end: then the axis was too short."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from xtc_study.analysis.factors import arms_along
from xtc_study.arms import Arm


@dataclass(frozen=True)
class Best:
    """The best point of an axis while every other factor is fixed."""

    fixed: str
    """The labels of the other factors, for instance ``1-bit``; empty if there are none."""
    point: str
    score: float
    """Mean of the primary metric over tasks and seeds, in the metric's scale."""
    at_end: bool
    """True if it is the first or last point of the axis: a better one may lie beyond."""


def best_points(frame: pd.DataFrame, arms: Sequence[Arm], axis: str) -> list[Best]:
    """Return the best point of the axis for each combination of the other factors, in the order of the arms.

    A point that lacks a task, split or seed of another point is left out.

    Args:
        frame: rows of ``analysis.collect.collect``, of one study.
        arms: the study's arms, with their factors.
        axis: the name of one factor.

    Raises:
        ValueError: the arms have no such axis.
    """
    primary = frame[frame["is_primary"]]
    means = primary.groupby("arm")["value"].mean()
    cells = {
        arm: set(zip(rows["task"], rows["split"], rows["seed"], strict=True)) for arm, rows in primary.groupby("arm")
    }
    best = []
    for fixed, points in arms_along(arms, axis).items():
        # Means over different tasks or seeds cannot be compared.
        names = [arm.name for arm in points if arm.name in cells]
        every = set[tuple[str, str, int]]().union(*(cells[name] for name in names))
        done = means.reindex([name for name in names if cells[name] == every])
        if len(done) < 2:
            continue

        labels = {arm.name: arm.factors[axis] for arm in points}
        name = str(done.idxmax())
        ends = (points[0].name, points[-1].name)
        best.append(Best(fixed, labels[name], float(done.max()), name in ends))
    return best


def boundary_text(points: Sequence[Best]) -> list[str]:
    """Return one sentence per best point: its score, and whether it lies at an end of the grid."""
    lines = []
    for best in points:
        where = f"{best.fixed}: " if best.fixed else ""
        end = "the end of the grid, so a better point may lie beyond it" if best.at_end else "inside the grid"
        score = f"{100 * best.score:.1f}".replace("-", "\N{MINUS SIGN}")
        lines.append(f"{where}best at {best.point} ({score} points), {end}.")
    return lines
