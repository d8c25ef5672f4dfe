"""The figure of one factor at a time: scores along one axis of a study while the other factors are fixed."""

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
"""Maximum number of lines in a panel; more could not be distinguished."""
_UPRIGHT_LETTERS = 36
"""Characters of all level names under one panel; longer names are slanted so that they do not overlap."""


def one_at_a_time(frame: pd.DataFrame, planned: Sequence[Factor], *, title: str) -> Figure:
    """Draw one panel per factor, with a line through the means of arms that differ only in this factor.

    Each dot is a seed's mean score over tasks, in points. A line is broken where a level has no score. If no two
    levels of any factor have a score, the figure is a text that names the levels that have one.

    Args:
        frame: rows of ``analysis.collect.collect``; arms and seeds that lack a task are left out.
        planned: the factors to draw (``analysis.factors.factors``).
        title: the figure's title.
    """
    scores, scored = seed_scores(frame), with_scores(planned, frame, MAX_LINES)
    if not scored:
        return in_words(_too_few_levels(planned, scores), title)
    with mpl.rc_context(fname=STYLE):
        figure, panels = grid(len(scored), title, width=3.6, height=3.1)
        for panel, factor in zip(panels, scored, strict=True):
            # Seeds as small marks, and a line through their means.
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

            # Level names without the factor's own name; long ones are slanted.
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


def _too_few_levels(planned: Sequence[Factor], scores: pd.DataFrame) -> str:
    """Return why nothing can be drawn: which levels of the planned factors have a score."""
    if not planned:
        return "No two arms of this study differ in one factor alone, so there is no line to draw."
    done, parts = set(scores["arm"]), []
    for factor in planned:
        levels = dict.fromkeys(level for _, points in factor.lines for level, arm in points if arm in done)
        parts.append(f"{factor.name}: {', '.join(levels) or 'none'}")
    return (
        "A line needs two levels that are done on every task, in arms that differ in nothing else. Done so far: "
        f"{'; '.join(parts)}. Run more of the study to draw it."
    )


def looks() -> Iterator[tuple[str, str, str]]:
    """Yield colour, marker and dash of one line after another; the first ``MAX_LINES`` are all different."""
    return zip(itertools.cycle(SERIES), itertools.cycle(MARKERS), itertools.cycle(_DASHES), strict=False)
