"""The tables of equal bytes as text: the best arm of each budget, what more space brings, what an encoder adds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from xtc_study.analysis.best_of_budget import Best, Gain, TaskBudgets
from xtc_study.analysis.stats import FEW_SEEDS, points
from xtc_study.report.tables import MISSING, SEED_RANGE, PageTable, score_text, size_word

LESS = "Score less optimism"
LESS_DIFFERENCE = "Less optimism"
INTERVAL = "95 % interval"
DETECTABLE = "Smallest difference detected"
NO_TRANSFORMER = "no transformer"
NO_SEEDS = "none needed"


def best_table(lines: Sequence[tuple[str, TaskBudgets, Sequence[Best]]]) -> PageTable:
    """The best arm of each budget of each task.

    Args:
        lines: of each task its name, its arms, and the best of them, one a budget.
    """
    rows, order = [], []
    for name, task, line in lines:
        for best in line:
            arm, less = best.arm, best.arm.score - best.optimism
            rows.append(
                {
                    "Task": name,
                    "Budget": f"{best.budget_mb:g} MB",
                    "Score": score_text(arm.score),
                    "Best arm": arm.arm,
                    "Encoder": NO_TRANSFORMER if arm.static else "yes",
                    LESS: score_text(less),
                    INTERVAL: MISSING
                    if math.isnan(best.low)
                    else f"{score_text(best.low)} to {score_text(best.high)}",
                    SEED_RANGE: MISSING if arm.seeds < 2 else f"{score_text(arm.low)} to {score_text(arm.high)}",
                    "Seeds": NO_SEEDS if arm.static else str(arm.seeds),
                    "Chosen from": f"{best.chosen_from}",
                    "On disk": size_word(arm.size_bytes),
                    "fp32 teacher": score_text(task.teacher),
                    "One answer": score_text(task.majority),
                    "Study": arm.study,
                }
            )
            order.append(
                {
                    "Budget": best.budget_mb,
                    "Score": arm.score,
                    LESS: less,
                    INTERVAL: best.low,
                    SEED_RANGE: arm.low,
                    "Seeds": 0 if arm.static else arm.seeds,
                    "Chosen from": best.chosen_from,
                    "On disk": arm.size_bytes,
                    "fp32 teacher": task.teacher,
                    "One answer": task.majority,
                }
            )
    if not rows:
        return PageTable(pd.DataFrame(), "No arm is done that fits into one of the budgets.")
    caption = (
        "The arm with the highest mean score among all whose file on disk fits into the budget (1 MB is 10^6 bytes; "
        "the largest file of its seeds counts; of equal scores the smaller file wins), in points. Chosen from: how "
        "many arms fit. Less optimism: lowered by what the choice among them adds on average; the interval is of "
        f"that, and an arm has one from {FEW_SEEDS} seeds on. One answer: the best score of a constant answer."
    )
    return _without_empty(rows, order, caption, ("Task", "Budget", "Encoder"))


def space_table(lines: Sequence[tuple[str, Sequence[Gain]]]) -> PageTable:
    """What the next larger budget brings, where it has another best arm.

    Args:
        lines: of each task its name and its differences.
    """
    rows, order = [], []
    for name, gains in lines:
        for gain in gains:
            instead = f"{gain.reference.arm.arm} ({gain.reference.budget_mb:g} MB)"
            rows.append(_row(name, gain, {"Best arm": gain.best.arm.arm, "Instead of": instead}))
            order.append({"Budget": gain.best.budget_mb, **_difference_order(gain)})
    if not rows:
        return PageTable(pd.DataFrame(), "No budget has another best arm than the next smaller one.")
    caption = (
        "The best arm of a budget minus that of the next smaller budget, in points, over the seeds of both. Budgets "
        "with the same best arm as the next smaller one are not listed: their space brings nothing. As the larger "
        "budget chooses from more arms, a difference above 0 alone means nothing; an interval above 0 does."
    )
    return _without_empty(rows, order, caption, ("Task", "Budget"))


def encoder_table(lines: Sequence[tuple[str, Sequence[Gain]]]) -> PageTable:
    """The best arm with an encoder minus the best without, for each budget that has both.

    Args:
        lines: of each task its name and its differences.
    """
    rows, order = [], []
    for name, gains in lines:
        for gain in gains:
            arms = {
                "With an encoder": gain.best.arm.arm,
                "Its score": score_text(gain.best.arm.score),
                "Without a transformer": gain.reference.arm.arm,
                "Score without": score_text(gain.reference.arm.score),
            }
            rows.append(_row(name, gain, arms))
            scores = {"Its score": gain.best.arm.score, "Score without": gain.reference.arm.score}
            order.append({"Budget": gain.best.budget_mb, **scores, **_difference_order(gain)})
    if not rows:
        return PageTable(
            pd.DataFrame(),
            "No budget has both an arm with an encoder and one without a transformer, so what the encoder adds is not "
            "known.",
        )
    caption = (
        "The best arm with an encoder minus the best without a transformer (a table of token vectors and a linear "
        "head) within the same budget, in points. Less optimism: without what the choice adds to either of the two "
        "on average, so it may also be higher; the interval is of that."
    )
    return _without_empty(rows, order, caption, ("Task", "Budget"))


def _ends(low: float, high: float) -> str:
    return MISSING if math.isnan(low) else f"{score_text(low)} to {score_text(high)}"


def _row(task: str, gain: Gain, arms: dict[str, str]) -> dict[str, str]:
    """A row of a table of differences: what is compared, then the difference and what is known of it."""
    shown = _difference(gain)
    budget = f"{gain.best.budget_mb:g} MB"
    return {"Task": task, "Budget": budget, "Difference": shown["Difference"], **arms, **shown}


def _difference(gain: Gain) -> dict[str, str]:
    least = MISSING if math.isnan(gain.detectable) else f"{100 * gain.detectable:.1f}"
    return {
        "Difference": points(gain.mean),
        LESS_DIFFERENCE: MISSING if math.isnan(gain.optimism) else points(gain.mean - gain.optimism),
        INTERVAL: MISSING if math.isnan(gain.low) else f"{points(gain.low)} to {points(gain.high)}",
        DETECTABLE: "no possible one" if math.isinf(gain.detectable) else least,
    }


def _difference_order(gain: Gain) -> dict[str, float]:
    less = gain.mean - gain.optimism
    return {"Difference": gain.mean, LESS_DIFFERENCE: less, INTERVAL: gain.low, DETECTABLE: gain.detectable}


def _without_empty(
    rows: list[dict[str, str]], order: list[dict[str, float]], caption: str, filters: tuple[str, ...]
) -> PageTable:
    """The table without columns that have a dash in every row, and with a sentence that names them."""
    text = pd.DataFrame(rows)
    empty = [name for name in text.columns if (text[name] == MISSING).all()]
    if empty:
        caption += f" Not known here: {', '.join(empty)}."
    ids = tuple(f"{row['Task']}, {row['Budget']}" for row in rows)
    return PageTable(text.drop(columns=empty), caption, pd.DataFrame(order), ids, filters=filters)
