"""The figure of one run's training: each loss term over the optimiser steps of all stages."""

from __future__ import annotations

import itertools

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from xtc_study.report.figures.style import MUTED, RULE, SERIES, STYLE, grid, in_words

_DASHES = ("-", "--", "-.", ":")


def loss_curves(curve: pd.DataFrame, *, title: str) -> Figure:
    """Draw one line per loss term over optimiser steps, with a labelled vertical line at the start of each stage.

    Steps that restart in a later phase or stage are laid end to end. A curve without rows gives a figure that is a
    text.

    Args:
        curve: columns phase, stage, step, term, value, in the order trained.
        title: the figure's title.
    """
    if curve.empty:
        return in_words("No loss was recorded: training took no step, or curve.csv is missing.", title)
    placed, starts = _end_to_end(curve)
    looks = zip(itertools.cycle(_DASHES), itertools.cycle(SERIES))
    with mpl.rc_context(fname=STYLE):
        figure, (panel,) = grid(1, title, width=7.0)
        for (term, points), (dash, colour) in zip(placed.groupby("term", sort=False), looks, strict=False):
            first = True
            # One piece per stage, so that no line crosses a stage without the term.
            for _, piece in points.groupby(["phase", "stage"], sort=False):
                alone = "o" if len(piece) == 1 else ""
                label = str(term) if first else "_again"
                panel.plot(piece["step"], piece["value"], dash, marker=alone, color=colour, label=label)
                first = False

        # A log scale if every value allows it; its default formatter would need math text.
        logarithmic = bool((placed["value"] > 0).all())
        if logarithmic:
            panel.set_yscale("log")
            panel.yaxis.set_major_formatter("{x:g}")
            within_a_decade = placed["value"].max() < 10 * placed["value"].min()
            panel.yaxis.set_minor_formatter("{x:g}" if within_a_decade else NullFormatter())
        panel.set_ylabel("loss (log scale)" if logarithmic else "loss")
        panel.set_xlabel("optimiser steps")

        for step, name in starts:
            panel.axvline(step, color=RULE, linewidth=1)
            panel.annotate(
                name, (step, 1), xycoords=("data", "axes fraction"), xytext=(3, 3), textcoords="offset points",
                color=MUTED, fontsize=8,
            )  # fmt: skip
        panel.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def loss_finding(curve: pd.DataFrame) -> str:
    """Return each loss term's first and last recorded value as a sentence."""
    parts = []
    for term, points in curve.groupby("term", sort=False):
        first, last = float(points["value"].iloc[0]), float(points["value"].iloc[-1])
        parts.append(f"{term} {first:.3g} to {last:.3g}")
    return f"From the first to the last recorded step: {', '.join(parts)}." if parts else "Nothing was recorded."


def _end_to_end(curve: pd.DataFrame) -> tuple[pd.DataFrame, list[tuple[float, str]]]:
    """Return the curve with steps that only increase, and the start and name of each stage."""
    pieces, starts, last = [], [], 0
    for (phase, stage), piece in curve.groupby(["phase", "stage"], sort=False):
        offset = last if piece["step"].min() <= last else 0
        pieces.append(piece.assign(step=piece["step"] + offset))
        starts.append((float(last), f"{phase} {stage}"))
        last = int(pieces[-1]["step"].max())
    return pd.concat(pieces), starts
