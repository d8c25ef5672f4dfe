"""The figure of effects: what each factor of a designed study is worth, with its interval, the largest first."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
from matplotlib.figure import Figure

from xtc_study.analysis.factor_effects import Effect
from xtc_study.analysis.stats import points
from xtc_study.report.figures.style import INK, MARKERS, MUTED, RULE, SERIES, STYLE, grid, in_words

_ROW = 0.46
"""Height of an effect's row in inches."""
_BELOW = 0.26
"""How far below the effect over all tasks those on each task stand, in rows."""


def effects_in_order(effects: Mapping[str, Effect], missing: str, *, title: str) -> Figure:
    """Draw one line per effect, from the highest to the lowest: its mean over tasks and 95 % interval, in points.

    Small marks below it are the effects on each task, where there are several. Without effects the figure is a text.

    Args:
        effects: by label.
        missing: what to write where there are none.
        title: the figure's title.
    """
    if not effects:
        return in_words(missing, title)
    ordered = sorted(effects.items(), key=lambda item: -item[1].overall.mean)
    tasks = list(ordered[0][1].by_task)
    with mpl.rc_context(fname=STYLE):
        figure, (panel,) = grid(1, title, width=6.4, height=_ROW * len(ordered) + 1.1)
        panel.grid(axis="y", visible=False)
        panel.grid(axis="x", visible=True)
        panel.axvline(0, color=MUTED, linewidth=1.1)
        for row, (_, effect) in enumerate(ordered):
            low, mean, high = (100 * end for end in (effect.overall.low, effect.overall.mean, effect.overall.high))
            panel.plot([low, high], [row, row], color=INK, linewidth=1.6, solid_capstyle="butt")
            panel.plot(mean, row, "o", color=SERIES[0], markersize=7)
            panel.annotate(
                points(effect.overall.mean), (mean, row), xytext=(0, 6), textcoords="offset points", ha="center",
                fontsize=8, color=INK,
            )  # fmt: skip
            for number, task in enumerate(tasks if len(tasks) > 1 else []):
                panel.plot(100 * effect.by_task[task].mean, row + _BELOW, _mark(number), color=_colour(number), ms=4)

        panel.set_yticks(range(len(ordered)), [label for label, _ in ordered])
        panel.set_ylim(len(ordered) - 0.4, -0.7)
        panel.margins(x=0.08)
        panel.set_xlabel("effect (points)")
        panel.spines["left"].set_color(RULE)
        if len(tasks) > 1:
            # The marks are named beside the panel, where the legend covers no interval.
            for number, task in enumerate(tasks):
                panel.plot([], [], _mark(number), color=_colour(number), ms=4, label=task)
            panel.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, fontsize=8)
    return figure


def _mark(task: int) -> str:
    return MARKERS[1 + task % (len(MARKERS) - 1)]


def _colour(task: int) -> str:
    return SERIES[1 + task % (len(SERIES) - 1)]
