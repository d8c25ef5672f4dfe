"""One factor at a time: the arms that differ along a single axis of a study, and the scores to compare them by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from xtc_study.arms import Arm
from xtc_study.nearest import did_you_mean


@dataclass(frozen=True)
class Factor:
    """One axis of a study, and the arms that differ in nothing else."""

    name: str
    levels: tuple[str, ...]
    """Its labels, in the study's order."""
    lines: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    """The labels of the other factors, joined, and (level, arm) for each arm that shares them; at least two."""
    fields: tuple[str, ...]
    """The recipe fields in which arms on a line differ: a level may set several."""


def arms_along(arms: Sequence[Arm], axis: str) -> dict[str, list[Arm]]:
    """The arms that differ in this axis alone, by the labels of the other factors: ``1-bit``; empty without others.

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
    """The axes along which some arms differ in nothing else."""
    found = []
    for axis in dict.fromkeys(axis for arm in arms for axis in arm.factors):
        groups = {others: group for others, group in arms_along(arms, axis).items() if len(group) > 1}
        if not groups:
            continue
        lines = tuple(
            (others, tuple((arm.factors[axis], arm.name) for arm in group)) for others, group in groups.items()
        )
        levels = tuple(dict.fromkeys(level for _, points in lines for level, _ in points))
        fields = dict.fromkeys(field for group in groups.values() for field in _changed_fields(group))
        found.append(Factor(axis, levels, lines, tuple(fields)))
    return found


def with_scores(found: Sequence[Factor], frame: pd.DataFrame, most_lines: int) -> list[Factor]:
    """Only the levels and lines that have scores in the frame. A line needs two arms.

    Args:
        found: what ``factors`` gave.
        frame: rows of ``analysis.collect.collect``.
        most_lines: lines that a factor keeps at most.
    """
    done = set(seed_scores(frame)["arm"])
    kept = []
    for factor in found:
        done_lines = [
            (others, tuple(point for point in points if point[1] in done)) for others, points in factor.lines
        ]
        lines = tuple((others, points) for others, points in done_lines if len(points) > 1)[:most_lines]
        used = {level for _, points in lines for level, _ in points}
        if lines:
            kept.append(replace(factor, lines=lines, levels=tuple(level for level in factor.levels if level in used)))
    return kept


def seed_scores(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns arm, seed, score: the primary metric's mean over tasks and splits, of seeds with every task done."""
    primary = frame[frame["is_primary"]]
    expected = len(primary[["task", "split"]].drop_duplicates())
    grouped = primary.groupby(["arm", "seed"], sort=False)["value"].agg(["mean", "size"]).reset_index()
    return grouped[grouped["size"] == expected].rename(columns={"mean": "score"})[["arm", "seed", "score"]]


def _changed_fields(arms: Sequence[Arm]) -> list[str]:
    fields = dict.fromkeys(field for arm in arms for field in arm.set)
    return [field for field in fields if len({repr(arm.set.get(field)) for arm in arms}) > 1]
