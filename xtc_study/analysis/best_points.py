"""Whether the best point of an axis lies at its end, in which case the axis was too short to find the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from xtc_study.analysis.factors import arms_along
from xtc_study.arms import Arm


@dataclass(frozen=True)
class Best:
    """The best point of an axis with every other factor held fixed."""

    fixed: str
    """The labels of the other factors: ``1-bit``; empty if there are none."""
    point: str
    score: float
    """Mean of the primary metric over tasks and seeds, in the metric's scale."""
    at_end: bool
    """True where it is the first or last point: a better one may lie beyond."""


def best_points(frame: pd.DataFrame, arms: Sequence[Arm], axis: str) -> list[Best]:
    """The best point of the axis for each combination of the other factors, in the order of the arms.

    A point that lacks a task, split or seed that another point has is not compared.

    Raises:
        ValueError: the arms have no such axis.
    """
    primary = frame[frame["is_primary"]]
    means = primary.groupby("arm")["value"].mean()
    cells = {
        arm: set(zip(rows["task"], rows["split"], rows["seed"], strict=True)) for arm, rows in primary.groupby("arm")
    }
    found = []
    for fixed, points in arms_along(arms, axis).items():
        names = [arm.name for arm in points if arm.name in cells]
        every = set[tuple[str, str, int]]().union(*(cells[name] for name in names))
        done = means.reindex([name for name in names if cells[name] == every])
        if len(done) < 2:
            continue
        labels = {arm.name: arm.factors[axis] for arm in points}
        name = str(done.idxmax())
        ends = (points[0].name, points[-1].name)
        found.append(Best(fixed, labels[name], float(done.max()), name in ends))
    return found


def boundary_text(found: Sequence[Best]) -> list[str]:
    """One sentence a combination, for a notebook or a page."""
    lines = []
    for best in found:
        where = f"{best.fixed}: " if best.fixed else ""
        end = "the end of the grid, so a better point may lie beyond it" if best.at_end else "inside the grid"
        score = f"{100 * best.score:.1f}".replace("-", "\N{MINUS SIGN}")
        lines.append(f"{where}best at {best.point} ({score} points), {end}.")
    return lines
