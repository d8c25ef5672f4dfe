"""The figures of a study's page, each with a caption and a description made of what it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from xtc_study.analysis.factors import Factor, factors, with_scores
from xtc_study.analysis.stats import Difference, points
from xtc_study.arms import Arm
from xtc_study.report.figures.differences import differences_by_arm
from xtc_study.report.figures.factors import MAX_LINES, one_at_a_time
from xtc_study.report.figures.seeds import seeds_by_arm, seeds_finding
from xtc_study.report.figures.style import Drawing, drawing
from xtc_study.studies import ClaimSpec
from xtc_study.tasks.metric_names import in_words


def figures_of(
    frame: pd.DataFrame,
    arms: Sequence[Arm],
    reference: str,
    claims: Sequence[ClaimSpec],
    found: Mapping[str, Difference],
    chance: Mapping[tuple[str, str], float] | None = None,
) -> dict[str, Drawing]:
    """``differences``, ``seeds`` and ``factors``, those that there are.

    Args:
        frame: rows of ``analysis.collect.collect`` of one study, not empty.
        arms: with their factors, where it is a grid.
        reference: the arm that others are compared with.
        claims: those whose margins are drawn.
        found: by arm its difference to the reference.
        chance: by task and split, the score of guessing.
    """
    figures = {}
    if found:
        title = f"Each arm minus {reference}"
        figures["differences"] = drawing(
            differences_by_arm(found, reference, claims, title=title),
            "differences",
            "The differences",
            f"{title}, in points, with 95 % intervals. {differences_words(found)}",
            f"{differences_finding(found)} Dot: mean over tasks and seeds. Line: 95 % interval.",
        )

    finding = seeds_finding(frame)
    figures["seeds"] = drawing(
        seeds_by_arm(frame, reference, title="Every seed, task by task", chance=chance),
        "seeds",
        "Every seed, task by task",
        f"Score of each seed by arm, one panel a task: {_panels(frame)}. {finding}".strip(),
        f"{finding} Each mark is one seed; the bar beside it is the mean of its arm.".strip(),
    )

    every = factors(arms)
    # Of one factor alone the figure of seeds shows as much.
    varied = with_scores(every, frame, MAX_LINES) if len(every) > 1 else []
    if varied:
        left_out = f" At most {MAX_LINES} lines a panel." if any(len(f.lines) == MAX_LINES for f in varied) else ""
        figures["factors"] = drawing(
            one_at_a_time(frame, varied, title="One factor at a time"),
            "factors",
            "One factor at a time",
            f"Score by level of each factor while the others stay as they are: {levels_words(varied)}.",
            f"Arms on one line differ in nothing but what that panel's factor sets ({fields_words(varied)}). Small "
            "marks are seeds, large ones their mean; score is the mean over tasks, in points; a line is "
            f"broken where a level has no score.{left_out}",
        )
    return figures


def differences_words(found: Mapping[str, Difference]) -> str:
    """Every difference that the figure shows: ``1-bit −3.11 (−5.33 to −1.28); 2-bit ...``."""  # noqa: RUF002
    each = [f"{arm} {points(d.mean)} ({points(d.low)} to {points(d.high)})" for arm, d in found.items()]
    return "; ".join(each) + "."


def differences_finding(found: Mapping[str, Difference]) -> str:
    """The ends of what the figure shows, in a sentence."""
    low, high = (pick(found, key=lambda arm: found[arm].mean) for pick in (min, max))
    if low == high:
        return f"{low}: {points(found[low].mean)} points."
    return f"From {low}, {points(found[low].mean)} points, to {high}, {points(found[high].mean)}."


def levels_words(varied: Sequence[Factor]) -> str:
    return "; ".join(f"{factor.name} ({', '.join(factor.levels)})" for factor in varied)


def fields_words(varied: Sequence[Factor]) -> str:
    """``depth: layers; weights: weight_bits``: a level may set several fields, so that more than one thing changes."""
    return "; ".join(f"{factor.name}: {', '.join(factor.fields)}" for factor in varied)


def _panels(frame: pd.DataFrame) -> str:
    panels = frame.loc[frame["is_primary"], ["task", "split", "metric"]].drop_duplicates().to_numpy().tolist()
    return ", ".join(
        f"{task} ({in_words(metric)})" if split == "dev" else f"{task} {split} ({in_words(metric)})"
        for task, split, metric in panels
    )
