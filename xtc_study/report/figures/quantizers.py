"""Figures of what quantisers do to numbers: step functions, levels among weights, errors, bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from xtc_study.report.figures.style import INK, MUTED, SERIES, STYLE, fitting

_ON_DARK, _ON_LIGHT = "#fefefe", "#101010"
"""Text colours on coloured squares. The squares look the same on a dark page, so the text must not change either."""
Numbers = npt.NDArray[np.floating[Any]]


def staircases(weights: Numbers, quantised: Mapping[str, Numbers], *, title: str) -> Figure:
    """Draw each weight after quantisation against the weight before, one panel per quantiser.

    The dashed diagonal is a weight that is not changed.

    Args:
        weights: (n,), increasing.
        quantised: by the quantiser's name, (n,).
        title: the figure's title.
    """
    with mpl.rc_context(fname=STYLE):
        figure = Figure(figsize=(fitting(3.1, len(quantised)), 3.0), layout="constrained")
        panels = figure.subplots(1, len(quantised), sharey=True, squeeze=False)[0]
        for panel, (name, values), colour in zip(panels, quantised.items(), SERIES, strict=False):
            panel.plot(weights, weights, "--", color=MUTED, linewidth=1)
            panel.step(weights, values, where="mid", color=colour)
            panel.set_title(name)
            panel.set_xlabel("weight before")
        panels[0].set_ylabel("weight after")
        figure.suptitle(title)
    return figure


def levels(weights: Numbers, quantised: Mapping[str, Numbers], *, title: str) -> Figure:
    """Draw the histogram of the weights and the few values that each quantiser leaves.

    The height of a value's line is the share of weights that take it.

    Args:
        weights: any shape.
        quantised: by the quantiser's name, the same shape.
        title: the figure's title.
    """
    with mpl.rc_context(fname=STYLE):
        figure = Figure(figsize=(fitting(3.1, len(quantised)), 3.0), layout="constrained")
        panels = figure.subplots(1, len(quantised), sharex=True, squeeze=False)[0]
        for panel, (name, values), colour in zip(panels, quantised.items(), SERIES, strict=False):
            panel.hist(weights.ravel(), bins=80, weights=np.full(weights.size, 100 / weights.size), color=MUTED)
            level, count = np.unique(values.ravel(), return_counts=True)
            other = panel.twinx()
            other.vlines(level, 0, 100 * count / values.size, color=colour, linewidth=2)
            other.set_ylim(0, 100)
            other.set_yticks([0, 50, 100], ["0", "50", "100 %"] if panel is panels[-1] else ["", "", ""])
            panel.set_title(f"{name}: {len(level)} values")
            panel.set_xlabel("weight")
        panels[0].set_ylabel("% of weights, grey")
        figure.suptitle(title)
    return figure


def bars(values: Mapping[str, float], *, xlabel: str, title: str) -> Figure:
    """Draw one horizontal bar per name, from the top, with its value at its end."""
    with mpl.rc_context(fname=STYLE):
        figure = Figure(figsize=(6.0, 1.0 + 0.36 * len(values)), layout="constrained")
        panel = figure.subplots()
        drawn = panel.barh(list(values), list(values.values()), color=SERIES[0], height=0.6)
        panel.bar_label(
            drawn, fmt=lambda value: f"{value:,.0f}" if value >= 100 else f"{value:.3g}", padding=3, color=INK
        )
        panel.invert_yaxis()
        panel.grid(visible=False, axis="y")
        panel.set_xlabel(xlabel)
        panel.margins(x=0.15)
        figure.suptitle(title)
    return figure


def grids(matrices: Mapping[str, Numbers], *, title: str) -> Figure:
    """Draw matrices as coloured squares with their values, each matrix on its own scale around 0."""
    with mpl.rc_context(fname=STYLE):
        figure = Figure(figsize=(fitting(3.4, len(matrices)), 3.2), layout="constrained")
        panels = figure.subplots(1, len(matrices), squeeze=False)[0]
        for panel, (name, matrix) in zip(panels, matrices.items(), strict=True):
            reach = float(np.abs(matrix).max()) or 1.0
            panel.imshow(matrix, cmap="PuOr", vmin=-reach, vmax=reach)
            panel.set_title(name)
            panel.set_xticks([])
            panel.set_yticks([])
            for (row, column), value in np.ndenumerate(matrix):
                colour = _ON_DARK if abs(value) > 0.7 * reach else _ON_LIGHT
                text = f"{value:.3g}".replace("-", "\N{MINUS SIGN}")
                panel.text(column, row, text, ha="center", va="center", color=colour, fontsize=7)
        figure.suptitle(title)
    return figure


def lines(x: Numbers, curves: Mapping[str, Numbers], *, xlabel: str, ylabel: str, title: str) -> Figure:
    """Draw curves over a common x, with a legend.

    Args:
        x: (n,).
        curves: by name, (n,).
        xlabel: label of the x axis.
        ylabel: label of the y axis.
        title: the figure's title.
    """
    with mpl.rc_context(fname=STYLE):
        figure = Figure(figsize=(5.6, 3.2), layout="constrained")
        panel = figure.subplots()
        for (name, y), colour, dash in zip(curves.items(), SERIES, ("-", "--", "-.", ":", "-", "--"), strict=False):
            panel.plot(x, y, dash, color=colour, label=name)
        panel.set_xlabel(xlabel)
        panel.set_ylabel(ylabel)
        panel.legend(frameon=False)
        figure.suptitle(title)
    return figure
