"""Every arm of a profile in one figure: score against bytes on disk, and against milliseconds if measured."""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from xtc_study.analysis.baselines import Baseline
from xtc_study.analysis.pareto import ParetoPoint, undominated
from xtc_study.report.baselines import baseline_name
from xtc_study.report.figures.style import (
    INK,
    MARKERS,
    MUTED,
    PAPER,
    RULE,
    SERIES,
    STYLE,
    Mark,
    grid,
    in_words,
    within_scores,
)
from xtc_study.report.tables import after_title, score_text, size_word

FIGURE = "#front"
"""Where the mark of a baseline leads: to the figure itself, since no page is about it."""
LABELLED = 4
"""If the Pareto front has more points than this, only its ends are labelled; the tooltips name the others."""
NEAR_POINTS = 2
"""Points of score; labels of marks closer than this would overlap."""


def score_against_cost(
    points: Sequence[ParetoPoint], *, title: str, beside: Sequence[Baseline] = ()
) -> tuple[Figure, dict[str, Mark]]:
    """Draw score against bytes on disk with the Pareto front, and a second panel of milliseconds if any are measured.

    Colour stands for the bits of a weight, shape for the layers; dominated points are hollow. Every point with a
    score is drawn. Without points the figure is a text.

    Args:
        points: arms that can be compared (``analysis.pareto.comparable``).
        title: the figure's title.
        beside: baselines, drawn as stars where they have a file and, in the second panel, a time of the same setting.

    Returns:
        The figure, and by gid of a drawn point, its text and link.
    """
    points = [point for point in points if not np.isnan(point.score)]
    if not points:
        return in_words("No arm is done on every task yet, so there is no score to draw against its size.", title), {}
    timed = any(not np.isnan(point.latency_ms) for point in points)
    marks: dict[str, Mark] = {}
    with mpl.rc_context(fname=STYLE):
        figure, panels = grid(1 + timed, title, width=4.6 if timed else 7.2, height=3.6)
        sizes = [point.size_bytes for point in points]
        filed = [(one, one.size_bytes) for one in beside if not math.isnan(one.size_bytes)]
        _panel(panels[0], points, sizes, "a", "bytes on disk (log scale)", marks, filed)
        panels[0].xaxis.set_major_formatter(FuncFormatter(lambda size, _: size_word(size)))
        if timed:
            setting = {point.latency_of for point in points}
            quick = [(one, one.latency_ms) for one in beside if one.latency_of and one.latency_of in setting]
            times = [point.latency_ms for point in points]
            _panel(panels[1], points, times, "b", "milliseconds (log scale)", marks, quick)
            panels[1].xaxis.set_major_formatter(FuncFormatter(lambda time, _: f"{time:g}"))
        _legend(panels[-1], points, filed)
    return figure, marks


def _panel(
    panel: Axes,
    points: Sequence[ParetoPoint],
    costs: Sequence[float],
    letter: str,
    label: str,
    marks: dict[str, Mark],
    beside: Sequence[tuple[Baseline, float]],
) -> None:
    best = undominated(costs, [point.score for point in points])
    pareto_front = sorted((cost, 100 * point.score) for cost, point, on in zip(costs, points, best, strict=True) if on)
    panel.step(*zip(*pareto_front, strict=True), where="post", color=MUTED, linewidth=1, zorder=1)

    # Every point has a mark with a tooltip; dominated points are hollow.
    for number, (point, cost, on) in enumerate(zip(points, costs, best, strict=True)):
        if np.isnan(cost):
            continue
        colour, marker = _look(point, points)
        if not np.isnan(point.low):
            ends = [100 * point.low, 100 * point.high]
            panel.plot([cost, cost], ends, color=colour if on else RULE, linewidth=1.2, zorder=2 + on)
        gid = f"mark-{letter}{number}"
        panel.plot(
            cost,
            100 * point.score,
            marker,
            color=colour if on else MUTED,
            mfc=colour if on else PAPER,
            markersize=8,
            gid=gid,
            zorder=3 + 2 * on,  # a dominated point never covers the Pareto front
        )
        marks[gid] = Mark(_mark_text(point), point.href)

    # Baselines have a tooltip each; the caption names them.
    for number, (one, cost) in enumerate(beside):
        gid = f"baseline-{letter}{number}"
        panel.plot(cost, 100 * one.score, "*", color=INK, mfc=PAPER, markersize=11, gid=gid, zorder=4)
        marks[gid] = Mark(f"{baseline_name(one)}: {score_text(one.score)} points; {one.note}", FIGURE)

    # On a long Pareto front only the ends have room for labels.
    labelled = pareto_front if len(pareto_front) <= LABELLED else [pareto_front[0], pareto_front[-1]]
    for cost, score in _apart(labelled):
        arm = next(p.arm for p, c in zip(points, costs, strict=True) if (c, 100 * p.score) == (cost, score))
        first = (cost, score) == pareto_front[0]
        # No mark can lie above and left of a point on the Pareto front, because it would dominate the point. So the
        # label goes there, except for the leftmost point, which has no room. A line connects label and point.
        panel.annotate(
            arm, (cost, score), xytext=(14, -18) if first else (-12, 16), textcoords="offset points",
            ha="left" if first else "right", fontsize=8, color=INK, zorder=6, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 4},
        )  # fmt: skip

    panel.set_xscale("log", base=2)
    panel.margins(x=0.2)
    # Scale the axis by the marks, not the seeds' bars: one outlying seed would squeeze all marks together.
    scores = [100 * point.score for point, cost in zip(points, costs, strict=True) if not np.isnan(cost + point.score)]
    scores += [100 * one.score for one, _ in beside]
    margin = max(max(scores) - min(scores), 4) / 2
    panel.set_ylim(min(scores) - margin, max(scores) + margin)
    within_scores(panel)
    panel.xaxis.set_major_locator(FixedLocator(_round_ticks(*panel.get_xlim())))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_xlabel(label)
    panel.set_ylabel("score (points)")


def _apart(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Leave out points just below another of about the same cost: their labels would overlap."""
    return [
        (cost, score)
        for cost, score in points
        if not any(cost < other < 1.1 * cost and score < above < score + NEAR_POINTS for other, above in points)
    ]


def _round_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times the powers of ten on the axis; only the powers if these are many, else its ends."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [step * 10.0**power for power in powers for step in (1, 2, 5) if low <= step * 10.0**power <= high]
    if len(ticks) > 8:
        ticks = [tick for tick in ticks if math.isclose(math.log10(tick) % 1, 0, abs_tol=1e-9)]
    return ticks if len(ticks) > 1 else [low, high]


def _look(point: ParetoPoint, points: Sequence[ParetoPoint]) -> tuple[str, str]:
    bits = sorted({other.weight_bits for other in points})
    layers = sorted({other.layers for other in points})
    return SERIES[bits.index(point.weight_bits) % len(SERIES)], MARKERS[layers.index(point.layers) % len(MARKERS)]


def _mark_text(point: ParetoPoint) -> str:
    low, high = score_text(point.low), score_text(point.high)
    seeds = "" if np.isnan(point.low) or low == high else f" (seeds from {low} to {high})"
    time = "" if np.isnan(point.latency_ms) else f", {point.latency_ms:.2f} ms"
    arm = after_title(point.study, point.arm)
    return f"{arm}: {score_text(point.score)} points{seeds}, {size_word(point.size_bytes)}{time}"


def _legend(panel: Axes, points: Sequence[ParetoPoint], beside: Sequence[tuple[Baseline, float]]) -> None:
    handles = []
    for bits in sorted({point.weight_bits for point in points}):
        colour, _ = _look(next(point for point in points if point.weight_bits == bits), points)
        handles.append(Line2D([], [], color=colour, marker="o", linestyle="", label=f"{bits}-bit weights"))
    layers = sorted({point.layers for point in points})
    for kept in layers if len(layers) > 1 else ():
        _, marker = _look(next(point for point in points if point.layers == kept), points)
        handles.append(Line2D([], [], color=MUTED, marker=marker, linestyle="", label=f"layers: {kept}"))
    hollow = Line2D([], [], color=MUTED, markerfacecolor=PAPER, marker="o", linestyle="", label="dominated")
    handles.append(hollow)
    if beside:
        handles.append(Line2D([], [], color=INK, markerfacecolor=PAPER, marker="*", linestyle="", label="baseline"))
    panel.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1))
