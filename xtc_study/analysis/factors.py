"""One factor at a time: find the arms that differ along a single axis of a study, and their scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from xtc_study.arms import Arm
from xtc_study.nearest import did_you_mean


@dataclass(frozen=True)
class Factor:
    """One axis of a study, and the groups of arms that differ only along it."""

    name: str
    levels: tuple[str, ...]
    """The labels of the axis, in the study's order."""
    lines: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    """For each combination of the other factors: their labels, joined, and (level, arm) of at least two arms."""
    fields: tuple[str, ...]
    """The recipe fields in which the arms of a line differ; a level may set several."""


def arms_along(arms: Sequence[Arm], axis: str) -> dict[str, list[Arm]]:
    """Return the arms that differ only along this axis, grouped by the joined labels of the other factors.

    A key is for instance ``1-bit``; it is empty if the arms have no other factor.

    Args:
        arms: the study's arms, with their factors.
        axis: the name of one factor.

    Raises:
        ValueError: the arms have no such axis.
    """
    with_axis = [arm for arm in arms if axis in arm.factors]
    if not with_axis:
        axes = arms[0].factors
        raise ValueError(f"axis={axis!r}: the arms have {', '.join(axes) or 'no axes'}{did_you_mean(axis, axes)}")
    groups: dict[str, list[Arm]] = {}
    for arm in with_axis:
        others = ", ".join(label for name, label in arm.factors.items() if name != axis)
        groups.setdefault(others, []).append(arm)
    return groups


def factors(arms: Sequence[Arm]) -> list[Factor]:
    """Return the axes along which at least two arms differ in nothing else."""
    varied = []
    for axis in dict.fromkeys(axis for arm in arms for axis in arm.factors):
        groups = {others: group for others, group in arms_along(arms, axis).items() if len(group) > 1}
        if not groups:
            continue
        lines = tuple(
            (others, tuple((arm.factors[axis], arm.name) for arm in group)) for others, group in groups.items()
        )
        levels = tuple(dict.fromkeys(level for _, points in lines for level, _ in points))
        fields = dict.fromkeys(field for group in groups.values() for field in _changed_fields(group))
        varied.append(Factor(axis, levels, lines, tuple(fields)))
    return varied


def with_scores(planned: Sequence[Factor], frame: pd.DataFrame, most_lines: int) -> list[Factor]:
    """Keep the levels and lines that have scores in the frame. A line needs two arms with a score.

    Args:
        planned: what ``factors`` returned.
        frame: rows of ``analysis.collect.collect``.
        most_lines: maximum number of lines per factor.
    """
    done = set(seed_scores(frame)["arm"])
    kept = []
    for factor in planned:
        done_lines = [
            (others, tuple(point for point in points if point[1] in done)) for others, points in factor.lines
        ]
        lines = tuple((others, points) for others, points in done_lines if len(points) > 1)[:most_lines]
        used = {level for _, points in lines for level, _ in points}
        if lines:
            kept.append(replace(factor, lines=lines, levels=tuple(level for level in factor.levels if level in used)))
    return kept


def seed_scores(frame: pd.DataFrame) -> pd.DataFrame:
    """Return each seed's primary metric, averaged over tasks and splits. Columns: arm, seed, score.

    Only seeds with every task done have a row.
    """
    primary = frame[frame["is_primary"]]
    expected = len(primary[["task", "split"]].drop_duplicates())
    grouped = primary.groupby(["arm", "seed"], sort=False)["value"].agg(["mean", "size"]).reset_index()
    return grouped[grouped["size"] == expected].rename(columns={"mean": "score"})[["arm", "seed", "score"]]


def _changed_fields(arms: Sequence[Arm]) -> list[str]:
    fields = dict.fromkeys(field for arm in arms for field in arm.set)
    return [field for field in fields if len({repr(arm.set.get(field)) for arm in arms}) > 1]
