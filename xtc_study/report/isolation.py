"""One factor at a time: what changes when a single recipe field does and the others stay as they are."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from xtc_study.analysis.collect import compact_layers
from xtc_study.analysis.stats import interval
from xtc_study.report.canvas import MARKERS, SERIES, STYLE, grid
from xtc_study.studies import PlannedRun

_DASHES = ("-", "--", "-.", ":")
MAX_LINES = 8
"""More lines than this in a panel cannot be told apart."""


@dataclass(frozen=True)
class Factor:
    """Recipe fields that change together from arm to arm, and the arms that differ in nothing else."""

    fields: tuple[str, ...]
    levels: tuple[str, ...]
    """In rising order where they are numbers."""
    lines: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    """What stays as it is, in words, and (level, arm) for each arm on that line; at least two."""

    @property
    def name(self) -> str:
        return " and ".join(field.replace("_", " ") for field in self.fields)


def factors(planned: Sequence[PlannedRun]) -> list[Factor]:
    """The factors that can be isolated: for each, some arms differ in it alone. From the first task's recipes."""
    arms = _settings(planned)
    varied = [
        field for field in next(iter(arms.values()), {}) if len({settings[field] for settings in arms.values()}) > 1
    ]
    groups = _moving_together(varied, arms)
    found = []
    for group in groups:
        others = [field for other in groups if other != group for field in other]
        by_rest: dict[tuple[str, ...], list[tuple[str, str]]] = {}
        for arm, settings in arms.items():
            level = " / ".join(settings[field] for field in group)
            by_rest.setdefault(tuple(settings[field] for field in others), []).append((level, arm))
        order = sorted({level for points in by_rest.values() for level, _ in points}, key=_rank)
        lines = tuple(
            (
                ", ".join(f"{field.replace('_', ' ')} {value}" for field, value in zip(others, rest, strict=True)),
                tuple(sorted(points, key=lambda point: order.index(point[0]))),
            )
            for rest, points in by_rest.items()
            if len(points) > 1
        )
        if lines:
            levels = tuple(level for level in order if any(level == at for _, points in lines for at, _ in points))
            found.append(Factor(group, levels, lines[:MAX_LINES]))
    return found


def one_at_a_time(frame: pd.DataFrame, found: Sequence[Factor], *, title: str) -> Figure:
    """One panel a factor: every seed's mean score over tasks as a dot, a line through the means of arms that differ in
    this factor alone, with its 95 % t interval over seeds. In points.

    Args:
        frame: rows of ``analysis.collect.collect``; arms that lack a task, and seeds that do, are left out.

    Raises:
        ValueError: nothing to draw.
    """
    scores = seed_scores(frame)
    if not found or scores.empty:
        raise ValueError("no factor to draw")
    with mpl.rc_context(fname=STYLE):
        figure, panels = grid(len(found), title, width=3.6, height=3.1)
        for panel, factor in zip(panels, found, strict=True):
            looks = itertools.cycle(zip(SERIES, MARKERS, itertools.cycle(_DASHES), strict=False))
            for (rest, points), (colour, marker, dash) in zip(factor.lines, looks, strict=False):
                places, means = [], []
                for level, arm in points:
                    values = 100 * scores.loc[scores["arm"] == arm, "score"].to_numpy()
                    if not len(values):
                        continue
                    place = factor.levels.index(level)
                    mean = interval(values)
                    panel.plot(np.full(len(values), place - 0.08), values, marker, color=colour, markersize=3.5)
                    if mean.n > 1:
                        panel.plot([place] * 2, [mean.low, mean.high], color=colour, linewidth=1.2)
                    places.append(place)
                    means.append(mean.mean)
                if not places:
                    continue
                panel.plot(places, means, dash, color=colour, marker=marker, markersize=6, label=rest or None)
            panel.set_title(factor.name)
            panel.set_xticks(range(len(factor.levels)), list(factor.levels))
            panel.set_xlim(-0.4, len(factor.levels) - 0.6)
            panel.set_ylabel("score (points)")
            panel.margins(y=0.12)
            if any(rest for rest, _ in factor.lines):
                panel.legend(loc="upper left", bbox_to_anchor=(0, -0.16), fontsize=8)
    return figure


def seed_scores(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns arm, seed, score: the primary metric's mean over tasks and splits, of seeds with every task done."""
    primary = frame[frame["is_primary"]]
    expected = len(primary[["task", "split"]].drop_duplicates())
    grouped = primary.groupby(["arm", "seed"], sort=False)["value"].agg(["mean", "size"]).reset_index()
    return grouped[grouped["size"] == expected].rename(columns={"mean": "score"})[["arm", "seed", "score"]]


def _settings(planned: Sequence[PlannedRun]) -> dict[str, dict[str, str]]:
    """By arm, every recipe field but task and seed, as text."""
    arms: dict[str, dict[str, str]] = {}
    for run in planned:
        if run.arm not in arms and run.recipe.task == planned[0].recipe.task:
            values = {**run.recipe.model_dump(exclude={"task", "seed"}), "layers": compact_layers(run.recipe.layers)}
            arms[run.arm] = {field: "none" if value is None else f"{value}" for field, value in values.items()}
    return arms


def _moving_together(fields: Sequence[str], arms: Mapping[str, Mapping[str, str]]) -> list[tuple[str, ...]]:
    """Fields that say the same about every pair of arms are one factor: epochs and reduce_epochs of a budget."""
    groups: dict[tuple[int, ...], list[str]] = {}
    for field in fields:
        values = [settings[field] for settings in arms.values()]
        pattern = tuple(values.index(value) for value in values)
        groups.setdefault(pattern, []).append(field)
    return [tuple(group) for group in groups.values()]


def _rank(level: str) -> tuple[int, float, str]:
    first = level.split(" / ")[0]
    try:
        return 0, float(first), level
    except ValueError:
        return 1, 0.0, level
