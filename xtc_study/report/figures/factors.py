"""The figure of one factor at a time: what changes along an axis of a study while the others stay as they are."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from xtc_study.analysis.factors import Factor, seed_scores, with_scores
from xtc_study.report.figures.style import MARKERS, SERIES, STYLE, grid, in_words, within_scores

_DASHES = ("-", "--", "-.", ":")
MAX_LINES = 8
"""More lines than this in a panel cannot be told apart."""
_UPRIGHT_LETTERS = 36
"""Of the levels side by side under one panel; longer ones would run into each other."""


def one_at_a_time(frame: pd.DataFrame, found: Sequence[Factor], *, title: str) -> Figure:
    """One panel a factor: every seed's mean score over tasks as a dot, a line through the means of arms that differ in
    this factor alone. In points. A line is broken where a level has no score.

    Args:
        frame: rows of ``analysis.collect.collect``; arms that lack a task, and seeds that do, are left out.

    Where no two levels of any factor have a score, the figure says so in words and names what there is.
    """
    scores, asked, found = seed_scores(frame), found, with_scores(found, frame, MAX_LINES)
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


def looks() -> Iterator[tuple[str, str, str]]:
    """Colour, marker and dash of line after line; no two of ``MAX_LINES`` are alike."""
    return zip(itertools.cycle(SERIES), itertools.cycle(MARKERS), itertools.cycle(_DASHES), strict=False)
