"""One factor at a time: what changes along a single axis of a study while the others stay as they are."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from xtc_study.analysis.stats import interval
from xtc_study.arms import Arm
from xtc_study.report.canvas import MARKERS, SERIES, STYLE, grid

_DASHES = ("-", "--", "-.", ":")
MAX_LINES = 8
"""More lines than this in a panel cannot be told apart."""


@dataclass(frozen=True)
class Factor:
    """One axis of a study, and the arms that differ in nothing else."""

    name: str
    levels: tuple[str, ...]
    """Its labels, in the study's order."""
    lines: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    """What stays as it is, in words, and (level, arm) for each arm on that line; at least two."""


def factors(arms: Sequence[Arm]) -> list[Factor]:
    """The axes of the arms that can be isolated: for each, some arms differ in it alone."""
    named = [arm for arm in arms if arm.factors]
    found = []
    for axis in dict.fromkeys(axis for arm in named for axis in arm.factors):
        by_rest: dict[tuple[str, ...], list[tuple[str, str]]] = {}
        for arm in named:
            if axis in arm.factors:
                rest = tuple(label for name, label in arm.factors.items() if name != axis)
                by_rest.setdefault(rest, []).append((arm.factors[axis], arm.name))
        lines = tuple((", ".join(rest), tuple(points)) for rest, points in by_rest.items() if len(points) > 1)
        if lines:
            levels = tuple(dict.fromkeys(level for _, points in lines for level, _ in points))
            found.append(Factor(axis, levels, lines[:MAX_LINES]))
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
            for (rest, points), (colour, marker, dash) in zip(factor.lines, looks(), strict=False):
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


def looks() -> Iterator[tuple[str, str, str]]:
    """Colour, marker and dash of line after line; no two of ``MAX_LINES`` are alike."""
    return zip(itertools.cycle(SERIES), itertools.cycle(MARKERS), itertools.cycle(_DASHES), strict=False)


def seed_scores(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns arm, seed, score: the primary metric's mean over tasks and splits, of seeds with every task done."""
    primary = frame[frame["is_primary"]]
    expected = len(primary[["task", "split"]].drop_duplicates())
    grouped = primary.groupby(["arm", "seed"], sort=False)["value"].agg(["mean", "size"]).reset_index()
    return grouped[grouped["size"] == expected].rename(columns={"mean": "score"})[["arm", "seed", "score"]]
