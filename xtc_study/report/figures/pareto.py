"""Every arm of a profile in one figure: its score against its real bytes, and against milliseconds where measured."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

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

LABELLED = 4
"""If the front has more points, only its ends have their names written beside them; the others say them when asked."""
NEAR_POINTS = 2
"""Names closer than this would lie on each other."""


@dataclass(frozen=True)
class Point:
    """One arm of one study. Scores in the metric's scale."""

    study: str
    arm: str
    href: str
    """The study's page."""
    score: float
    low: float
    """Of the lowest seed."""
    high: float
    """Of the highest seed."""
    size_bytes: float
    latency_ms: float
    """NaN where it was not measured."""
    latency_of: str
    """What it was measured with, empty where it was not. Only times of the same can be compared."""
    teacher: float
    """The teachers' mean score."""
    weight_bits: int
    layers: str
    comparable: tuple[str, ...]
    """The encoder, tasks and splits that the score is of. Only equal ones can be compared."""
    runs: frozenset[str]
    """Run ids; two arms with the same runs are one point."""
    epochs: tuple[float, ...] = ()
    """How long its students were trained, every distinct number (``scope.student_epochs``)."""


def comparable(points: Sequence[Point]) -> list[Point]:
    """The largest set of points that can be compared, each once; studies on other tasks are left out.

    Of times, those measured with what most of these points were are kept.
    """
    groups: dict[tuple[str, ...], dict[frozenset[str], Point]] = {}
    for point in points:
        if not np.isnan(point.score):
            groups.setdefault(point.comparable, {}).setdefault(point.runs, point)
    found = list(max(groups.values(), key=len).values()) if groups else []
    timed = Counter(point.latency_of for point in found if point.latency_of)
    usual = timed.most_common(1)[0][0] if timed else ""
    return [p if p.latency_of == usual else replace(p, latency_ms=math.nan, latency_of="") for p in found]


def undominated(costs: Sequence[float], scores: Sequence[float]) -> list[bool]:
    """Whether no other costs at most as much and scores at least as high, being better in one. NaN: dominated."""
    pairs = list(zip(costs, scores, strict=True))
    return [
        not np.isnan(cost)
        and not any(
            other_cost <= cost and other >= score and (other_cost < cost or other > score)
            for other_cost, other in pairs
        )
        for cost, score in pairs
    ]


def score_against_cost(points: Sequence[Point], *, title: str) -> tuple[Figure, dict[str, Mark]]:
    """The front of score against bytes on disk, and beside it against milliseconds if any point has them.

    Colour is the bits of a weight, shape the layers; what is dominated is hollow. Every point with a score is marked.

    Without a point the figure says so in words.
    """
    points = [point for point in points if not np.isnan(point.score)]
    if not points:
        return in_words("No arm is done on every task yet, so there is no score to set against its bytes.", title), {}
    timed = any(not np.isnan(point.latency_ms) for point in points)
    marks: dict[str, Mark] = {}
    with mpl.rc_context(fname=STYLE):
        figure, panels = grid(1 + timed, title, width=4.6 if timed else 7.2, height=3.6)
        sizes = [point.size_bytes for point in points]
        _panel(panels[0], points, sizes, "a", "bytes on disk (log scale)", marks)
        panels[0].xaxis.set_major_formatter(FuncFormatter(lambda size, _: size_word(size)))
        if timed:
            _panel(panels[1], points, [point.latency_ms for point in points], "b", "milliseconds (log scale)", marks)
            panels[1].xaxis.set_major_formatter(FuncFormatter(lambda time, _: f"{time:g}"))
        _legend(panels[-1], points)
    return figure, marks


def _panel(
    panel: Axes, points: Sequence[Point], costs: Sequence[float], letter: str, label: str, marks: dict[str, Mark]
) -> None:
    best = undominated(costs, [point.score for point in points])
    front = sorted((cost, 100 * point.score) for cost, point, on in zip(costs, points, best, strict=True) if on)
    panel.step(*zip(*front, strict=True), where="post", color=MUTED, linewidth=1, zorder=1)
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
            zorder=3 + 2 * on,  # what is dominated never covers the front
        )
        marks[gid] = Mark(_says(point), point.href)
    for cost, score in _apart(front if len(front) <= LABELLED else [front[0], front[-1]]):
        arm = next(p.arm for p, c in zip(points, costs, strict=True) if (c, 100 * p.score) == (cost, score))
        first = (cost, score) == front[0]
        # Up and to the left of a point nothing can lie: it would beat the point. The first has no room there. The line
        # leads to the point past the marks beside it.
        panel.annotate(
            arm, (cost, score), xytext=(14, -18) if first else (-12, 16), textcoords="offset points",
            ha="left" if first else "right", fontsize=8, color=INK, zorder=6, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 4},
        )  # fmt: skip
    panel.set_xscale("log", base=2)
    panel.margins(x=0.2)
    # The marks decide what is shown: one odd seed would press them into a line.
    scores = [100 * point.score for point, cost in zip(points, costs, strict=True) if not np.isnan(cost + point.score)]
    room = max(max(scores) - min(scores), 4) / 2
    panel.set_ylim(min(scores) - room, max(scores) + room)
    within_scores(panel)
    panel.xaxis.set_major_locator(FixedLocator(_round_ticks(*panel.get_xlim())))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_xlabel(label)
    panel.set_ylabel("score (points)")


def _apart(front: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Without those just below another of about the same cost, whose name would stand on its name."""
    return [
        (cost, score)
        for cost, score in front
        if not any(cost < other < 1.1 * cost and score < above < score + NEAR_POINTS for other, above in front)
    ]


def _round_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten inside the axis, else its ends; if there are many, only powers."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [step * 10.0**power for power in powers for step in (1, 2, 5) if low <= step * 10.0**power <= high]
    if len(ticks) > 8:
        ticks = [tick for tick in ticks if math.isclose(math.log10(tick) % 1, 0, abs_tol=1e-9)]
    return ticks if len(ticks) > 1 else [low, high]


def _look(point: Point, points: Sequence[Point]) -> tuple[str, str]:
    bits = sorted({other.weight_bits for other in points})
    layers = sorted({other.layers for other in points})
    return SERIES[bits.index(point.weight_bits) % len(SERIES)], MARKERS[layers.index(point.layers) % len(MARKERS)]


def _says(point: Point) -> str:
    low, high = score_text(point.low), score_text(point.high)
    seeds = "" if np.isnan(point.low) or low == high else f" (seeds from {low} to {high})"
    time = "" if np.isnan(point.latency_ms) else f", {point.latency_ms:.2f} ms"
    arm = after_title(point.study, point.arm)
    return f"{arm}: {score_text(point.score)} points{seeds}, {size_word(point.size_bytes)}{time}"


def _legend(panel: Axes, points: Sequence[Point]) -> None:
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
    panel.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1))
