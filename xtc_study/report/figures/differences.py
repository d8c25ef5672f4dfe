"""The figure of differences: each arm minus the reference, with its interval and the margins that were claimed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
from matplotlib.figure import Figure

from xtc_study.analysis.stats import Difference, points
from xtc_study.report.figures.style import INK, MUTED, RULE, SERIES, STYLE, grid, in_words
from xtc_study.studies import ClaimSpec

_ROW = 0.42
"""Inches an arm takes."""


def differences_by_arm(
    found: Mapping[str, Difference], reference: str, claims: Sequence[ClaimSpec] = (), *, title: str
) -> Figure:
    """One line an arm: the mean difference to the reference and its 95 % interval, in points; arms in the order given.

    The margin of a claim against this reference is a short bar across the line of its arm: an interval wholly on one
    side of it decides a claim that stands alone; of several, Holm's adjustment asks for more (``analysis.claims``).

    Without a difference the figure says so in words.
    """
    if not found:
        missing = (
            f"A difference needs a seed that {reference} and another arm have done on every task; there is none yet."
        )
        return in_words(missing, title)
    margins = {
        claim.arm: claim for claim in claims if claim.arm in found and claim.reference == reference and claim.margin
    }
    with mpl.rc_context(fname=STYLE):
        figure, (panel,) = grid(1, title, width=5.6, height=_ROW * len(found) + 0.9)
        panel.grid(axis="y", visible=False)
        panel.grid(axis="x", visible=True)
        panel.axvline(0, color=MUTED, linewidth=1.1)
        for row, (arm, difference) in enumerate(found.items()):
            low, mean, high = (100 * value for value in (difference.low, difference.mean, difference.high))
            panel.plot([low, high], [row, row], color=INK, linewidth=1.6, solid_capstyle="butt")
            panel.plot(mean, row, "o", color=SERIES[0], markersize=7)
            panel.annotate(
                points(difference.mean), (mean, row), xytext=(0, 7), textcoords="offset points", ha="center",
                fontsize=8, color=INK,
            )  # fmt: skip
            if arm in margins:
                at = 100 * margins[arm].bound
                panel.plot([at, at], [row - 0.32, row + 0.32], color=SERIES[1], linewidth=2, linestyle="--")
        panel.set_yticks(range(len(found)), list(found))
        panel.set_ylim(len(found) - 0.4, -0.7)
        panel.margins(x=0.08)
        panel.set_xlabel(f"points above or below {reference}")
        panel.spines["left"].set_color(RULE)
        if margins:
            panel.plot([], [], "--", color=SERIES[1], linewidth=2, label="claimed margin")
            panel.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)
    return figure
