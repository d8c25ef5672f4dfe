"""The figure of differences: each arm minus the reference, with its interval and the claimed margins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
from matplotlib.figure import Figure

from xtc_study.analysis.stats import Difference, points
from xtc_study.report.figures.style import INK, MUTED, RULE, SERIES, STYLE, grid, in_words
from xtc_study.studies import ClaimSpec

_ROW = 0.42
"""Height of an arm's row in inches."""


def differences_by_arm(
    differences: Mapping[str, Difference], reference: str, claims: Sequence[ClaimSpec] = (), *, title: str
) -> Figure:
    """Draw one line per arm: its mean difference to the reference and the 95 % interval, in points.

    A dashed bar across an arm's line is the margin of a claim against this reference. An interval wholly on one side
    of it decides a claim that stands alone; for one of several claims Holm's adjustment asks for more
    (``analysis.claims``). Without differences the figure is a text that explains why.

    Args:
        differences: by arm, arm minus reference, in the metric's scale; drawn in this order.
        reference: the arm that the others are compared with.
        claims: the claims whose margins are drawn.
        title: the figure's title.
    """
    if not differences:
        missing = (
            f"No difference can be drawn yet: it needs a seed that {reference} and another arm have done on every "
            "task."
        )
        return in_words(missing, title)
    margins = {
        claim.arm: claim
        for claim in claims
        if claim.arm in differences and claim.reference == reference and claim.margin
    }
    with mpl.rc_context(fname=STYLE):
        figure, (panel,) = grid(1, title, width=5.6, height=_ROW * len(differences) + 0.9)
        panel.grid(axis="y", visible=False)
        panel.grid(axis="x", visible=True)
        panel.axvline(0, color=MUTED, linewidth=1.1)

        # One row per arm, from the top: interval, mean with its value, and the claimed margin.
        for row, (arm, difference) in enumerate(differences.items()):
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

        panel.set_yticks(range(len(differences)), list(differences))
        panel.set_ylim(len(differences) - 0.4, -0.7)
        panel.margins(x=0.08)
        panel.set_xlabel(f"points above or below {reference}")
        panel.spines["left"].set_color(RULE)
        if margins:
            panel.plot([], [], "--", color=SERIES[1], linewidth=2, label="claimed margin")
            panel.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)
    return figure
