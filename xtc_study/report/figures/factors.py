"""One factor at a time: what changes along a single axis of a study while the others stay as they are."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from xtc_study.arms import Arm
from xtc_study.report.figures.style import MARKERS, SERIES, STYLE, grid, in_words, within_scores

_DASHES = ("-", "--", "-.", ":")
MAX_LINES = 8
"""More lines than this in a panel cannot be told apart."""
_UPRIGHT_LETTERS = 36
"""Of the levels side by side under one panel; longer ones would run into each other."""


@dataclass(frozen=True)
class Factor:
    """One axis of a study, and the arms that differ in nothing else."""

    name: str
    levels: tuple[str, ...]
    """Its labels, in the study's order."""
    lines: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    """What stays as it is, in words, and (level, arm) for each arm on that line; at least two."""
    fields: tuple[str, ...]
    """The recipe fields in which arms on a line differ: a level may set several."""


def factors(arms: Sequence[Arm]) -> list[Factor]:
    """The axes of the arms that can be isolated: for each, some arms differ in it alone."""
    named = [arm for arm in arms if arm.factors]
    found = []
    for axis in dict.fromkeys(axis for arm in named for axis in arm.factors):
        by_rest: dict[tuple[str, ...], list[Arm]] = {}
        for arm in named:
            if axis in arm.factors:
                rest = tuple(label for name, label in arm.factors.items() if name != axis)
                by_rest.setdefault(rest, []).append(arm)
        alike = {rest: on_line for rest, on_line in by_rest.items() if len(on_line) > 1}
        if alike:
            lines = tuple(
                (", ".join(rest), tuple((arm.factors[axis], arm.name) for arm in on_line))
                for rest, on_line in alike.items()
            )
            levels = tuple(dict.fromkeys(level for _, points in lines for level, _ in points))
            fields = dict.fromkeys(field for on_line in alike.values() for field in _changed(on_line))
            found.append(Factor(axis, levels, lines, tuple(fields)))
    return found


def with_data(found: Sequence[Factor], frame: pd.DataFrame) -> list[Factor]:
    """Only levels and lines with scores in the frame, at most ``MAX_LINES`` lines a factor; a line needs two arms."""
    done = set(seed_scores(frame)["arm"])
    shown = []
    for factor in found:
        there = [(rest, tuple(point for point in points if point[1] in done)) for rest, points in factor.lines]
        lines = tuple((rest, points) for rest, points in there if len(points) > 1)[:MAX_LINES]
        used = {level for _, points in lines for level, _ in points}
        if lines:
            shown.append(replace(factor, lines=lines, levels=tuple(level for level in factor.levels if level in used)))
    return shown


def one_at_a_time(frame: pd.DataFrame, found: Sequence[Factor], *, title: str) -> Figure:
    """One panel a factor: every seed's mean score over tasks as a dot, a line through the means of arms that differ in
    this factor alone. In points. A line is broken where a level has no score.

    Args:
        frame: rows of ``analysis.collect.collect``; arms that lack a task, and seeds that do, are left out.

    Where no two levels of any factor have a score, the figure says so in words and names what there is.
    """
    scores, asked, found = seed_scores(frame), found, with_data(found, frame)
    if not found:
        return in_words(_too_few_levels(asked, scores), title)
    with mpl.rc_context(fname=STYLE):
        figure, panels = grid(len(found), title, width=3.6, height=3.1)
        for panel, factor in zip(panels, found, strict=True):
            for (rest, points), (colour, marker, dash) in zip(factor.lines, looks(), strict=False):
                means = np.full(len(factor.levels), np.nan)
                for level, arm in points:
                    values = 100 * scores.loc[scores["arm"] == arm, "score"].to_numpy()
                    place = factor.levels.index(level)
                    panel.plot(np.full(len(values), place - 0.08), values, marker, color=colour, markersize=3.5)
                    if len(values):
                        means[place] = values.mean()
                places = range(len(means))
                panel.plot(places, means, dash, color=colour, marker=marker, markersize=6, label=rest or None)
            panel.set_title(factor.name)
            names = [level.removeprefix(f"{factor.name} ") for level in factor.levels]
            panel.set_xticks(range(len(names)), names)
            longest = max(map(len, names))
            slanted = len(names) * (longest + 2) > _UPRIGHT_LETTERS
            for label in panel.get_xticklabels() if slanted else ():
                label.set(rotation=35, ha="right", rotation_mode="anchor")
            panel.set_xlim(-0.4, len(factor.levels) - 0.6)
            panel.set_ylabel("score (points)")
            panel.margins(y=0.12)
            within_scores(panel)
            if any(rest for rest, _ in factor.lines):
                below = 0.16 + (0.02 * longest if slanted else 0)  # of the panel's height
                panel.legend(loc="upper left", bbox_to_anchor=(0, -below), fontsize=8)
    return figure


def _too_few_levels(asked: Sequence[Factor], scores: pd.DataFrame) -> str:
    """Why nothing can be drawn: which levels of the factors asked about have a score."""
    if not asked:
        return "No two arms of this study differ in one factor alone, so there is no line to draw."
    done, parts = set(scores["arm"]), []
    for factor in asked:
        levels = dict.fromkeys(level for _, points in factor.lines for level, arm in points if arm in done)
        parts.append(f"of {factor.name} there is {', '.join(levels) or 'none'}")
    return (
        "A line needs two levels that are done on every task, in arms that differ in nothing else: "
        f"{'; '.join(parts)}. More runs of the study draw it."
    )


def _changed(arms: Sequence[Arm]) -> list[str]:
    fields = dict.fromkeys(field for arm in arms for field in arm.set)
    return [field for field in fields if len({repr(arm.set.get(field)) for arm in arms}) > 1]


def looks() -> Iterator[tuple[str, str, str]]:
    """Colour, marker and dash of line after line; no two of ``MAX_LINES`` are alike."""
    return zip(itertools.cycle(SERIES), itertools.cycle(MARKERS), itertools.cycle(_DASHES), strict=False)


def seed_scores(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns arm, seed, score: the primary metric's mean over tasks and splits, of seeds with every task done."""
    primary = frame[frame["is_primary"]]
    expected = len(primary[["task", "split"]].drop_duplicates())
    grouped = primary.groupby(["arm", "seed"], sort=False)["value"].agg(["mean", "size"]).reset_index()
    return grouped[grouped["size"] == expected].rename(columns={"mean": "score"})[["arm", "seed", "score"]]
