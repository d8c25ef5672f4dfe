"""The figures of a study, and how they are put into a page or a notebook."""

from __future__ import annotations

import hashlib
import io
import itertools
import re
import textwrap
from collections.abc import Mapping
from html import escape
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator, NullFormatter

from xtc_study.analysis.stats import interval
from xtc_study.report.tables import arms_in_order

STYLE = Path(__file__).with_name("xtc.mplstyle")
INK, MUTED, RULE, PAPER = "#1b1f24", "#5b626b", "#c9ccd1", "#ffffff"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's colour-blind palette (2008), without its yellow, which is too light on white."""
_VARIABLES = {
    **{INK: "--ink", MUTED: "--muted", RULE: "--rule", PAPER: "--paper"},
    **{colour: f"--series-{number}" for number, colour in enumerate(SERIES, start=1)},
}
"""Each colour becomes a CSS variable with itself as the fallback, so that a dark page shows dark figures."""
_MARKERS = "osD^vPX*"
_DASHES = ("-", "--", "-.", ":")
_PANEL_WIDTH, _PANEL_HEIGHT, _PANELS_A_ROW = 3.1, 2.7, 3
_LETTERS_AN_INCH = 11
"""Of a bold 11-point title; an average letter is a little over half as wide as it is high."""


def seeds_by_arm(
    frame: pd.DataFrame, reference: str, *, title: str, chance: Mapping[str, float] | None = None
) -> Figure:
    """Every seed as a dot, its arm's mean and 95 % t interval beside it; one panel a task and split.

    Scores are drawn in points (100 times the metric). The teacher's mean over the runs shown is a labelled line.

    Args:
        frame: rows of ``analysis.collect.collect``, of one study; the primary metric is drawn.
        reference: the arm drawn first.
        title: the finding, or the question.
        chance: by task, the score of guessing, in the metric's scale. A labelled line; where it lies so far below
            that it would more than double the axis, only the label with an arrow.

    Raises:
        ValueError: the frame has no rows.
    """
    groups = list(frame[frame["is_primary"]].groupby(["task", "split", "metric"], sort=False))
    if not groups:
        raise ValueError("no done run to draw")
    arms = arms_in_order(frame, reference)
    looks = zip(itertools.cycle(SERIES), itertools.cycle(_MARKERS))
    with mpl.rc_context(fname=STYLE):
        figure, panels = _grid(len(groups), title)
        for panel, ((task, split, metric), rows), (colour, marker) in zip(panels, groups, looks, strict=False):
            name = str(task) if split == "dev" else f"{task} {split}"
            panel.set_title(name)
            panel.set_ylabel(f"{metric} (points)")
            for position, arm in enumerate(arms):
                _one_arm(panel, position, 100 * rows.loc[rows["arm"] == arm, "value"], colour, marker)
            panel.set_xticks(range(len(arms)), [_wrapped(arm) for arm in arms])
            panel.set_xlim(-0.5, len(arms) - 0.5)
            _line(panel, 100 * rows["teacher_value"].mean(), "teacher", "--")
            panel.margins(y=0.12)
            if chance and str(task) in chance:
                _chance(panel, 100 * chance[str(task)])
    return figure


def loss_curves(curve: pd.DataFrame, *, title: str) -> Figure:
    """One line a loss term over optimiser steps; a labelled vertical rule where each stage starts.

    Args:
        curve: columns phase, stage, step, term, value, in the order trained. Steps that start again in a later
            phase or stage are laid end to end.

    Raises:
        ValueError: the curve has no rows.
    """
    if curve.empty:
        raise ValueError("the curve has no rows")
    placed, starts = _end_to_end(curve)
    looks = zip(itertools.cycle(_DASHES), itertools.cycle(SERIES))
    with mpl.rc_context(fname=STYLE):
        figure, (panel,) = _grid(1, title, width=7.0)
        for (term, points), (dash, colour) in zip(placed.groupby("term", sort=False), looks, strict=False):
            first = True
            for _, piece in points.groupby(["phase", "stage"], sort=False):  # no line across a stage without the term
                alone = "o" if len(piece) == 1 else ""
                label = str(term) if first else "_again"
                panel.plot(piece["step"], piece["value"], dash, marker=alone, color=colour, label=label)
                first = False
        logarithmic = bool((placed["value"] > 0).all())
        if logarithmic:
            panel.set_yscale("log")
            panel.yaxis.set_major_formatter("{x:g}")  # the default formatter needs math text
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


def figure_svg(figure: Figure, alt: str) -> str:
    """The figure as an SVG element to stand inside a page: the same bytes for the same figure, no date, no script.

    Its ids are unique to its content, so that several figures can share a page. ``alt`` is its title and its
    accessible name. Text in the figure is escaped by matplotlib; ``alt`` is escaped here.
    """
    buffer = io.StringIO()
    with mpl.rc_context(fname=STYLE):
        _settle(figure)
        no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=no_metadata, bbox_inches="tight")
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].strip()
    prefix = "f" + hashlib.sha256(svg.encode()).hexdigest()[:8] + "-"
    svg = re.sub(r'(\sid="|href="#|url\(#)', lambda found: found[1] + prefix, svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(f": {colour}", f": var({variable}, {colour})")
    name = escape(alt)
    return re.sub(r"<svg ([^>]*)>", rf'<svg role="img" aria-label="{name}" \1>\n <title>{name}</title>', svg, count=1)


def show(figure: Figure, alt: str) -> None:
    """Display the figure in a notebook as SVG and PNG, with ``alt`` in the output's metadata and as its plain text."""
    from IPython.display import display  # only a notebook needs it

    buffer = io.BytesIO()
    with mpl.rc_context(fname=STYLE):
        _settle(figure)
        figure.savefig(buffer, format="png", bbox_inches="tight", metadata={"Software": None})
    bundle = {"image/svg+xml": figure_svg(figure, alt), "image/png": buffer.getvalue(), "text/plain": alt}
    display(bundle, raw=True, metadata={kind: {"alt": alt} for kind in ("image/svg+xml", "image/png")})


def _settle(figure: Figure) -> None:
    """Lay out once: a constrained layout starts from the last one, so drawing twice would move things a little."""
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()
        figure.set_layout_engine("none")


def _one_arm(panel: Axes, position: int, scores: pd.Series, colour: str, marker: str) -> None:
    places = position - np.linspace(0.28, 0.06, len(scores))  # side by side: equal scores stay countable
    panel.plot(places, scores, marker, color=colour, markersize=5)
    mean = interval(scores.to_numpy())
    if mean.n:
        panel.plot(position + 0.2, mean.mean, "_", color=INK, markersize=8, markeredgewidth=2)
    if mean.n > 1:
        panel.plot([position + 0.2] * 2, [mean.low, mean.high], color=INK, linewidth=1.4)


def _chance(panel: Axes, height: float) -> None:
    low, high = panel.get_ylim()
    if height >= low - (high - low):
        _line(panel, height, "chance", ":")
        return
    _beside(panel, 0, f"\N{DOWNWARDS ARROW} chance\n{height:.1f}", "axes fraction", "bottom")


def _line(panel: Axes, height: float, label: str, dash: str) -> None:
    if pd.isna(height):
        return
    panel.axhline(height, color=MUTED, linestyle=dash, linewidth=1.1, zorder=1)
    _beside(panel, height, f"{label}\n{height:.1f}", "data", "center")


def _beside(panel: Axes, height: float, text: str, scale: str, anchor: str) -> None:
    """A note right of the panel, where it covers no dot."""
    panel.annotate(
        text, (1, height), xycoords=("axes fraction", scale), xytext=(4, 0), textcoords="offset points", va=anchor,
        color=MUTED, fontsize=8, annotation_clip=False,
    )  # fmt: skip


def _grid(panels: int, title: str, width: float = _PANEL_WIDTH) -> tuple[Figure, list[Axes]]:
    columns = min(panels, _PANELS_A_ROW)
    rows = -(-panels // columns)
    padded = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)  # inches
    figure = Figure(figsize=(width * columns, _PANEL_HEIGHT * rows + 0.4), layout=padded)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for unused in axes[panels:]:
        unused.remove()
    for panel in axes[:panels]:
        panel.yaxis.set_major_locator(MaxNLocator(5))
    letters = int(_LETTERS_AN_INCH * width * columns)
    figure.suptitle(textwrap.fill(title, letters), x=0.01, ha="left", fontsize=11, fontweight="bold")
    return figure, axes[:panels]


def _end_to_end(curve: pd.DataFrame) -> tuple[pd.DataFrame, list[tuple[float, str]]]:
    """The curve with steps that only rise, and where each stage starts with its name."""
    pieces, starts, last = [], [], 0
    for (phase, stage), piece in curve.groupby(["phase", "stage"], sort=False):
        offset = last if piece["step"].min() <= last else 0
        pieces.append(piece.assign(step=piece["step"] + offset))
        starts.append((float(last), f"{phase} {stage}"))
        last = int(pieces[-1]["step"].max())
    return pd.concat(pieces), starts


def _wrapped(arm: str) -> str:
    return arm.replace(" ", "\n")
