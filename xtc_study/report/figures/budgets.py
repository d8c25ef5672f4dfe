"""The figure of equal bytes: the best score within each budget, with an encoder and without, one panel a task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xtc_study.analysis.best_of_budget import Best
from xtc_study.report.figures.style import MUTED, SERIES, STYLE, Mark, grid, in_words, within_scores
from xtc_study.report.tables import score_text, size_word

LOOKS = {"with an encoder": (SERIES[0], "o"), "without a transformer": (SERIES[1], "s")}


@dataclass(frozen=True)
class TaskPanel:
    """What one panel shows. Scores in the metric's scale."""

    title: str
    lines: dict[str, Sequence[Best]]
    """By a name of ``LOOKS``, the best arms, one a budget."""
    teacher: float
    majority: float
    """NaN: not drawn."""


def score_within_budgets(
    panels: Sequence[TaskPanel], budgets_mb: Sequence[float], href: Callable[[str], str], *, title: str
) -> tuple[Figure, dict[str, Mark]]:
    """Draw the best score within each budget. Budgets are evenly spaced, for they grow by powers.

    A vertical line is the 95 % interval less the optimism of the choice, where there is one, so that its middle is
    below the mark. Without an arm the figure is a text.

    Args:
        panels: one a task and split.
        budgets_mb: budgets in MB, in increasing order.
        href: gives the address of a study's page by its name.
        title: the figure's title.

    Returns:
        The figure, and by gid of a drawn point, its text and link.
    """
    panels = [panel for panel in panels if any(panel.lines.values())]
    if not panels:
        return in_words("No arm is done that fits into one of the budgets, so there is nothing to draw.", title), {}
    marks: dict[str, Mark] = {}
    with mpl.rc_context(fname=STYLE):
        figure, axes = grid(len(panels), title)
        for number, (panel, of_task) in enumerate(zip(axes, panels, strict=False)):
            _one_task(panel, of_task, list(budgets_mb), f"budget-{number}", href, marks)
        axes[0].set_ylabel("score (points)")
        names = [name for name in LOOKS if any(panel.lines.get(name) for panel in panels)]
        handles = [
            Line2D([], [], color=LOOKS[name][0], marker=LOOKS[name][1], linewidth=1.2, label=name) for name in names
        ]
        handles.append(Line2D([], [], color=MUTED, linestyle="--", label="fp32 teacher"))
        if any(not np.isnan(panel.majority) for panel in panels):
            handles.append(Line2D([], [], color=MUTED, linestyle=":", label="one answer for all rows"))
        figure.legend(handles=handles, loc="outside lower left", ncols=2, fontsize=8)
    return figure, marks


def _one_task(
    panel: Axes, shown: TaskPanel, budgets: list[float], gid: str, href: Callable[[str], str], marks: dict[str, Mark]
) -> None:
    for height, dash in ((shown.teacher, "--"), (shown.majority, ":")):
        if not np.isnan(height):
            panel.axhline(100 * height, color=MUTED, linestyle=dash, linewidth=1)

    # The lines are moved apart a little, so that equal scores stay visible.
    for number, (name, line) in enumerate(shown.lines.items()):
        colour, marker = LOOKS[name]
        places = [budgets.index(best.budget_mb) + 0.12 * (number - 0.5) for best in line]
        scores = [100 * best.arm.score for best in line]
        panel.plot(places, scores, color=colour, linewidth=1.2)
        for at, (place, score, best) in enumerate(zip(places, scores, line, strict=True)):
            if not np.isnan(best.low):
                panel.plot([place, place], [100 * best.low, 100 * best.high], color=colour, linewidth=1.2)
            mark = f"{gid}-{number}-{at}"
            panel.plot(place, score, marker, color=colour, markersize=6, gid=mark)
            text = f"{best.arm.arm} ({best.arm.study}): {score_text(best.arm.score)} points"
            budget = f"within {best.budget_mb:g} MB"
            marks[mark] = Mark(f"{text}, {size_word(best.arm.size_bytes)}, {budget}", href(best.arm.study))

    panel.set_xticks(range(len(budgets)), [f"{budget:g}" for budget in budgets])
    panel.set_xlim(-0.5, len(budgets) - 0.5)
    panel.set_xlabel("budget (MB on disk)")
    panel.set_title(shown.title, loc="left", fontsize=10)
    panel.margins(y=0.12)
    within_scores(panel)
