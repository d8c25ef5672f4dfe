"""What the differences within budgets say of one task, in sentences: what more bytes bring, and what an encoder."""

from __future__ import annotations

import math
from collections.abc import Sequence

from xtc_study.analysis.best_of_budget import Best, Gain
from xtc_study.analysis.stats import points
from xtc_study.report.tables import score_text


def megabytes(budget_mb: float) -> str:
    return f"{budget_mb:g} MB"


def gain_words(gain: Gain) -> str:
    """``+4.90 points (1.20 to 6.10)``; the mean less its optimism, where that is known."""
    if math.isnan(gain.low):
        return f"{points(gain.mean)} points, no interval"
    return f"{points(gain.mean - gain.optimism)} points ({points(gain.low)} to {points(gain.high)})"


def encoder_words(encoders: Sequence[Best], tables: Sequence[Best], gains: Sequence[Gain]) -> str:
    """What the encoder is for on one task.

    Args:
        encoders: the best arm with an encoder of each budget.
        tables: the best arm without a transformer of each budget.
        gains: the first minus the second, of the budgets that have both.
    """
    if not tables:
        return "No arm without a transformer is done, so what the encoder adds is not known."
    if not encoders:
        return "No arm with an encoder fits into a budget."
    first = encoders[0].budget_mb
    words = f"Below {megabytes(first)} only arms without a transformer fit. " if tables[0].budget_mb < first else ""
    known = [gain for gain in gains if not math.isnan(gain.low)]
    if not known:
        last = gains[-1] if gains else None
        if last is None:
            return f"{words}No budget has both kinds of arms."
        scores = f"an encoder scores {score_text(last.best.arm.score)}, none {score_text(last.reference.arm.score)}"
        at = megabytes(last.best.budget_mb)
        return f"{words}Within {at} {scores}; without an interval it is open whether that is luck."

    # The budget from which on an encoder is better at every larger budget too.
    from_here = None
    for gain in reversed(known):
        if gain.low <= 0:
            break
        from_here = gain
    if from_here is not None:
        at = megabytes(from_here.best.budget_mb)
        worse = _clearly_worse(known)
        return f"{words}From {at} on an encoder scores higher than none: {gain_words(from_here)} there.{worse}"
    last = known[-1]
    return (
        f"{words}Within no budget up to the largest is an encoder shown to score higher than none; within "
        f"{megabytes(last.best.budget_mb)} the difference is {gain_words(last)}.{_clearly_worse(known)}"
    )


def _clearly_worse(known: Sequence[Gain]) -> str:
    worse = [gain for gain in known if gain.high < 0]
    if not worse:
        return ""
    return f" Within {megabytes(worse[-1].best.budget_mb)} it scores lower: {gain_words(worse[-1])}."


def space_words(gains: Sequence[Gain], line: Sequence[Best], budgets_mb: Sequence[float]) -> str:
    """What more space brings on one task.

    Args:
        gains: of each budget that another arm wins than the next smaller one, the difference of the two.
        line: the best arm of each budget that an arm fits into.
        budgets_mb: every budget, in increasing order.
    """
    if not line:
        return "No arm fits into a budget."
    first = line[0].budget_mb
    words = f"No arm fits into less than {megabytes(first)}. " if first > budgets_mb[0] else ""
    return words + _steps(gains)


def _steps(gains: Sequence[Gain]) -> str:
    known = [gain for gain in gains if not math.isnan(gain.low)]
    clear = [gain for gain in known if gain.low > 0]
    if clear:
        each = "; ".join(f"{megabytes(gain.best.budget_mb)}: {gain_words(gain)}" for gain in clear)
        return f"More space brings a gain beyond chance within {each}."
    if known:
        return "No step to a larger budget brings a gain beyond chance."
    if not gains:
        return "The same arm is the best in every budget that it fits into."
    each = "; ".join(f"{megabytes(gain.best.budget_mb)}: {gain_words(gain)}" for gain in gains)
    return f"More space scores higher within {each}; whether that is luck is open."
