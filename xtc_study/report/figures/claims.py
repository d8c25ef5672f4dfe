"""The figure of the ledger: every claim's difference, interval and margin, coloured and marked by its verdict."""

from __future__ import annotations

import textwrap

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xtc_study.analysis.stats import SURE_SEEDS
from xtc_study.report.figures.style import MUTED, SERIES, STYLE, grid, in_words

LOOKS = {"supported": (SERIES[2], "o"), "contradicted": (SERIES[1], "X"), "undecided": (MUTED, "s")}
"""Colour and marker of each verdict; both, so that colour alone carries no meaning."""
_ROW = 0.52
"""Height of a claim's row in inches."""
_LETTERS = 62
"""Characters per line of a claim's text."""


def claims_at_a_glance(ledger: pd.DataFrame, *, title: str = "Every claim, its difference and its margin") -> Figure:
    """Draw one line per claim that was run: the mean difference and its 95 % interval, in points.

    The short dashed bar is the margin: below zero for ``equivalent`` and ``lower``, above zero for ``higher``. The
    number of seeds is shown if it is below ``SURE_SEEDS``. If no claim was run, the figure is a text that says why.

    Args:
        ledger: ``analysis.ledger.ledger_of``; its differences are in points.
        title: the figure's title.
    """
    run = ledger[ledger["seeds"] > 0].reset_index(drop=True)
    if run.empty:
        return in_words("No claim can be drawn yet: its two arms must share a finished seed on every task.", title)
    with mpl.rc_context(fname=STYLE):
        figure, (panel,) = grid(1, title, width=9.0, height=_ROW * len(run) + 1.0)
        panel.grid(axis="y", visible=False)
        panel.grid(axis="x", visible=True)
        panel.axvline(0, color=MUTED, linewidth=1.1)

        # One row per claim, from the top: interval, mean and margin.
        for place, row in enumerate(run.to_dict("records")):
            colour, marker = LOOKS[row["verdict"]]
            panel.plot([row["low"], row["high"]], [place] * 2, color=colour, linewidth=1.8, solid_capstyle="butt")
            panel.plot(row["difference"], place, marker, color=colour, markersize=7)
            if row["margin"]:
                panel.plot([row["bound"]] * 2, [place - 0.3, place + 0.3], "--", color=MUTED, linewidth=1.5)

        # Label each row with the study's number and the claim, and with the seeds if they are few.
        numbers = run["study"].str.partition("_")[0]
        few = [f" ({n} seed{'s' if n > 1 else ''})" if n < SURE_SEEDS else "" for n in run["seeds"]]
        names = [f"{number}  {claim}{on}" for number, claim, on in zip(numbers, run["claim"], few, strict=True)]
        panel.set_yticks(range(len(run)), [textwrap.fill(name, _LETTERS) for name in names], fontsize=8)
        panel.set_ylim(len(run) - 0.4, -0.6)
        panel.margins(x=0.06)
        panel.set_xlabel("arm minus reference (points)")

        handles = [Line2D([], [], color=colour, marker=marker, label=name) for name, (colour, marker) in LOOKS.items()]
        handles.append(Line2D([], [], color=MUTED, linestyle="--", label="margin"))
        panel.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=4, fontsize=8)
    return figure
