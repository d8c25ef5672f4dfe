"""The figure of a study's seeds: every seed as a dot, by arm and task."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xtc_study.analysis.score_tables import arms_in_order
from xtc_study.analysis.teachers import teachers_score
from xtc_study.report.figures.style import (
    INK,
    MARKERS,
    MUTED,
    PANEL_HEIGHT,
    PANEL_WIDTH,
    SERIES,
    STYLE,
    beside,
    grid,
    in_words,
    within_scores,
)
from xtc_study.report.tables import score_text
from xtc_study.tasks.metric_names import in_words as metric_in_words

_UPRIGHT_ARMS, _ARM_WIDTH, _CROWDED_HEIGHT = 5, 0.5, 3.4
"""More arms than the first number get slanted names and a panel of the last height; width of an arm in inches."""
_UPRIGHT_LETTERS = 28
"""Characters of all arm names under one panel; longer names are slanted so that they do not overlap."""


def seeds_by_arm(
    frame: pd.DataFrame,
    reference: str,
    *,
    title: str,
    chance: Mapping[tuple[str, str], float] | None = None,
    short: Mapping[str, str] | None = None,
) -> Figure:
    """Draw every seed as a dot with its arm's mean beside it, one panel per task and split.

    Scores are in points (100 times the metric). The teachers' mean over the runs shown is a labelled line; if arms
    have teachers of several depths, each arm has a short line for its own. A frame without rows gives a figure that
    is a text.

    Args:
        frame: rows of ``analysis.collect.collect``, of one study; the primary metric is drawn.
        reference: the arm drawn first.
        title: the finding, or the question.
        chance: by task and split, the chance level in the metric's scale, drawn as a labelled line. If the line would
            more than double the axis, only its label is drawn, with an arrow.
        short: by arm, what to write below it in place of its name.
    """
    groups = list(frame[frame["is_primary"]].groupby(["task", "split", "metric"], sort=False))
    if not groups:
        return in_words("No run of this study is done yet, so there are no seeds to draw.", title)
    arms = arms_in_order(frame, reference)
    looks = zip(itertools.cycle(SERIES), itertools.cycle(MARKERS))
    with mpl.rc_context(fname=STYLE):
        names = [(short or {}).get(arm, arm) for arm in arms]
        longest = max(len(word) for name in names for word in name.split())
        crowded = len(arms) > _UPRIGHT_ARMS or longest * len(arms) > _UPRIGHT_LETTERS
        figure, panels = grid(
            len(groups), title, max(PANEL_WIDTH, _ARM_WIDTH * len(arms)), _CROWDED_HEIGHT if crowded else PANEL_HEIGHT
        )

        for panel, (key, rows), (colour, marker) in zip(panels, groups, looks, strict=False):
            # The seeds of every arm.
            task, split, metric = map(str, key)
            name = str(task) if split == "dev" else f"{task} {split}"
            panel.set_title(name)
            panel.set_ylabel(f"{metric_in_words(metric)} (points)".replace("$", r"\$"))  # no math text
            for position, arm in enumerate(arms):
                _one_arm(panel, position, 100 * rows.loc[rows["arm"] == arm, "value"], colour, marker)

            # The names of the arms.
            panel.set_xticks(range(len(arms)), [each if crowded else _wrapped(each) for each in names])
            if crowded:
                for label in panel.get_xticklabels():
                    label.set(rotation=35, ha="right", rotation_mode="anchor")
            panel.set_xlim(-0.5, len(arms) - 0.5)

            # The lines to compare them with: teacher and chance.
            if rows["teacher_layers"].nunique() > 1:
                _own_teachers(panel, [100 * teachers_score(rows[rows["arm"] == arm]) for arm in arms])
            else:
                _line(panel, 100 * teachers_score(rows), "teacher", "--")
            panel.margins(y=0.12)
            if chance and (task, split) in chance:
                _chance(panel, 100 * chance[task, split])
            within_scores(panel)
    return figure


def seeds_finding(frame: pd.DataFrame) -> str:
    """Return the largest loss of an arm against its teacher as a sentence."""
    primary = frame[frame["is_primary"]]
    gaps = primary.assign(gap=100 * (primary["value"] - primary["teacher_value"]))
    means = gaps.groupby(["task", "arm"], sort=False, as_index=False)["gap"].mean().dropna()
    if means.empty:
        return ""
    task, arm, gap = means.loc[means["gap"].idxmin(), ["task", "arm", "gap"]]
    if gap >= 0:
        return "No arm scores below its teacher on any task."
    return f"The largest loss against the teacher is {-gap:.1f} points ({arm} on {task})."


def _one_arm(panel: Axes, position: int, scores: pd.Series, colour: str, marker: str) -> None:
    places = position - np.linspace(0.28, 0.06, len(scores))  # side by side: equal scores stay countable
    panel.plot(places, scores, marker, color=colour, markersize=5)
    if len(scores):
        panel.plot(position + 0.2, scores.mean(), "_", color=INK, markersize=8, markeredgewidth=2)


def _chance(panel: Axes, height: float) -> None:
    low, high = panel.get_ylim()
    if height >= low - (high - low):
        _line(panel, height, "chance", ":")
        return
    beside(panel, 0, f"\N{DOWNWARDS ARROW} chance\n{score_text(height / 100)}", "axes fraction", "bottom")


def _line(panel: Axes, height: float, label: str, dash: str) -> None:
    if pd.isna(height):
        return
    panel.axhline(height, color=MUTED, linestyle=dash, linewidth=1.1, zorder=1)
    beside(panel, height, f"{label}\n{score_text(height / 100)}", "data", "center")


def _own_teachers(panel: Axes, heights: Sequence[float]) -> None:
    """Draw a short line for each arm's own teacher; one label at the right edge names them all."""
    for position, height in enumerate(heights):
        panel.plot([position - 0.4, position + 0.4], [height] * 2, "--", color=MUTED, linewidth=1.1, zorder=1)
    known = [height for height in heights if not pd.isna(height)]
    if known:
        beside(panel, known[-1], "each arm's\nown teacher", "data", "center")


def _wrapped(arm: str) -> str:
    return arm.replace(" ", "\n")
