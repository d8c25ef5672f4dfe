"""The figures of a study's page, each with a caption and an alt text computed from what it shows."""

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
    differences: Mapping[str, Difference],
    chance: Mapping[tuple[str, str], float] | None = None,
) -> dict[str, Drawing]:
    """Draw the figures ``differences``, ``seeds`` and ``factors``, as far as there is data for them.

    Args:
        frame: rows of ``analysis.collect.collect`` of one study, not empty.
        arms: the study's arms; with their factors if it is a grid.
        reference: the arm that the others are compared with.
        claims: the claims whose margins are drawn.
        differences: by arm, its difference to the reference.
        chance: by task and split, the chance level in the metric's scale.
    """
    figures = {}
    if differences:
        title = f"Each arm minus {reference}"
        figures["differences"] = drawing(
            differences_by_arm(differences, reference, claims, title=title),
            "differences",
            "Differences",
            f"{title}, in points, with 95 % intervals. {differences_words(differences)}",
            f"{differences_finding(differences)} Dot: mean over tasks and seeds. Line: 95 % interval.",
        )

    finding = seeds_finding(frame)
    figures["seeds"] = drawing(
        seeds_by_arm(frame, reference, title="Every seed, task by task", chance=chance),
        "seeds",
        "Every seed, task by task",
        f"Score of each seed by arm, one panel per task: {_panels(frame)}. {finding}".strip(),
        f"{finding} Each mark is one seed; the bar beside it is the mean of its arm.".strip(),
    )

    every = factors(arms)
    # For a single factor the figure of seeds already shows this.
    varied = with_scores(every, frame, MAX_LINES) if len(every) > 1 else []
    if varied:
        full = any(len(factor.lines) == MAX_LINES for factor in varied)
        left_out = f" A panel shows at most {MAX_LINES} lines." if full else ""
        figures["factors"] = drawing(
            one_at_a_time(frame, varied, title="One factor at a time"),
            "factors",
            "One factor at a time",
            f"Score by level of each factor while the other factors are fixed: {levels_words(varied)}.",
            f"Arms on one line differ only in what that panel's factor sets ({fields_words(varied)}). Small marks: "
            "seeds. Large marks: their mean. The score is the mean over tasks, in points. A line is broken where a "
            f"level has no score.{left_out}",
        )
    return figures


def differences_words(differences: Mapping[str, Difference]) -> str:
    """Return every difference in words: ``1-bit −3.11 (−5.33 to −1.28); 2-bit ...``."""  # noqa: RUF002
    each = [f"{arm} {points(d.mean)} ({points(d.low)} to {points(d.high)})" for arm, d in differences.items()]
    return "; ".join(each) + "."


def differences_finding(differences: Mapping[str, Difference]) -> str:
    """Return the lowest and the highest difference as a sentence."""
    low, high = (pick(differences, key=lambda arm: differences[arm].mean) for pick in (min, max))
    if low == high:
        return f"{low}: {points(differences[low].mean)} points."
    return f"From {low}, {points(differences[low].mean)} points, to {high}, {points(differences[high].mean)}."


def levels_words(varied: Sequence[Factor]) -> str:
    """Return the levels of each factor in words: ``depth (6 layers, 3 layers); weights (8-bit, 1-bit)``."""
    return "; ".join(f"{factor.name} ({', '.join(factor.levels)})" for factor in varied)


def fields_words(varied: Sequence[Factor]) -> str:
    """Return the recipe fields that each factor sets, one or several: ``depth: layers; weights: weight_bits``."""
    return "; ".join(f"{factor.name}: {', '.join(factor.fields)}" for factor in varied)


def _panels(frame: pd.DataFrame) -> str:
    panels = frame.loc[frame["is_primary"], ["task", "split", "metric"]].drop_duplicates().to_numpy().tolist()
    return ", ".join(
        f"{task} ({in_words(metric)})" if split == "dev" else f"{task} {split} ({in_words(metric)})"
        for task, split, metric in panels
    )
