"""Score against cost: the figure with its finding, and the table behind it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import pandas as pd

from xtc_study.analysis.baselines import Baseline
from xtc_study.analysis.pareto import ParetoPoint, comparable, undominated
from xtc_study.report.baselines import baseline_name
from xtc_study.report.figures.pareto import score_against_cost
from xtc_study.report.figures.style import Drawing, drawing
from xtc_study.report.tables import MISSING, PageTable, score_text, size_text, size_word


def pareto_drawing(every: Sequence[ParetoPoint], beside: Sequence[Baseline] = ()) -> Drawing:
    """The arms that can be compared, the Pareto front among them; a figure in words if no arm is done.

    Args:
        every: arms of any studies.
        beside: baselines on the tasks of these arms, drawn as stars; none of them is on the Pareto front.
    """
    points = comparable(every)
    timed = next((point.latency_of for point in points if point.latency_of), "")
    title = f"Score against the file's real size{', and against time' if timed else ''}"
    figure, marks = score_against_cost(points, title=title, beside=beside)
    finding = _finding(points) if points else ""
    scope = _scope(points, every, timed) if points else ""
    return drawing(
        figure,
        "front",
        "Score against cost",
        f"Score against bytes on disk for {len(points)} arms. {finding}",
        f"{finding} {scope} Bars lead from the lowest to the highest seed; too long ones are cut off."
        f"{_beside(beside) if points else ''}",
        marks,
    )


def _beside(baselines: Sequence[Baseline]) -> str:
    """The baselines in words, with their scores: those without a file too, which the figure cannot show."""
    each = [
        f"{baseline_name(one)} {score_text(one.score)}"
        + ("" if math.isnan(one.size_bytes) else f" ({size_word(one.size_bytes)})")
        for one in baselines
    ]
    return f" Stars are baselines and take no part in the Pareto front: {'; '.join(each)}." if each else ""


def _finding(points: Sequence[ParetoPoint]) -> str:
    """How many arms are on the Pareto front, and its two ends."""
    best = [point for point, on in zip(points, _on_pareto_front(points), strict=True) if on]
    best.sort(key=lambda point: point.size_bytes)
    ends = f"{best[0].arm} ({size_word(best[0].size_bytes)}, {score_text(best[0].score)} points)"

    # Of arms that tie at this end the first is named, as beside the mark in the figure.
    last = next(p for p in best if (p.size_bytes, p.score) == (best[-1].size_bytes, best[-1].score))
    if last is not best[0]:
        ends += f" to {last.arm} ({size_word(last.size_bytes)}, {score_text(last.score)})"

    finding = f"{len(best)} of {len(points)} arms are on the Pareto front by bytes, from {ends}."
    return finding if len(best) < len(points) else f"{finding} None is beaten in both score and bytes."


def _scope(points: Sequence[ParetoPoint], every: Sequence[ParetoPoint], timed: str) -> str:
    """What the scores are of, what was left out, and what differs among the arms that are shown."""
    model, *tasks = points[0].comparable
    mean = f"mean of {', '.join(tasks)}" if len(tasks) > 1 else tasks[0]
    scope = f"Score: {mean}, encoder {model}."

    others = len({point.runs for point in every}) - len(points)
    if others:
        scope += f" Left out because they cannot be compared: {others} on other tasks or encoders, or without a task."

    trained = {point.epochs for point in points}
    if len(trained) > 1:
        numbers = ", ".join(f"{number:g}" for number in sorted({epoch for epochs in trained for epoch in epochs}))
        scope += f" Arms differ in training length: students took {numbers} epochs."
    return f"{scope} Milliseconds: {timed}." if timed else scope


def _on_pareto_front(points: Sequence[ParetoPoint]) -> list[bool]:
    return undominated([point.size_bytes for point in points], [point.score for point in points])


def pareto_table(every: Sequence[ParetoPoint], *, front_only: bool = False) -> PageTable:
    """Every arm that can be compared, and whether it is on the Pareto front.

    Args:
        every: arms of any studies.
        front_only: leave out the others, and list the cheapest first.
    """
    points = comparable(every)
    if not points:
        return PageTable(pd.DataFrame(), "No arm is done on every task yet.")
    caption = "Every arm that can be compared. The Pareto front is that of score against bytes on disk."
    if front_only:
        points = [point for point, on in zip(points, _on_pareto_front(points), strict=True) if on]
        points.sort(key=lambda point: point.size_bytes)
        caption = "The Pareto front: arms that none beats in both score and bytes on disk, the cheapest first."
    columns: dict[str, tuple[Iterable[str], Callable[[ParetoPoint], float] | None]] = {
        "Arm": ([point.arm for point in points], None),
        "Score": ([score_text(point.score) for point in points], lambda point: point.score),
        "On disk": (size_text(pd.Series([point.size_bytes for point in points])), lambda point: point.size_bytes),
        "Milliseconds": (
            [MISSING if math.isnan(point.latency_ms) else f"{point.latency_ms:.2f}" for point in points],
            lambda point: point.latency_ms,
        ),
        "Bits": ([str(point.weight_bits) for point in points], lambda point: point.weight_bits),
        "Layers": ([point.layers for point in points], None),
        "On the Pareto front": (["yes" if on else "no" for on in _on_pareto_front(points)], None),
        "Study": ([point.study for point in points], None),
    }
    if all(math.isnan(point.latency_ms) for point in points):
        del columns["Milliseconds"]
    text = pd.DataFrame({name: list(shown) for name, (shown, _) in columns.items()})
    order = pd.DataFrame({name: [key(p) for p in points] for name, (_, key) in columns.items() if key})
    return PageTable(
        text,
        caption,
        order,
        filters=("Study", "Bits", "Layers"),
    )
