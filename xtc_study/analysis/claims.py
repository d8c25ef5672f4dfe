"""A study's claims put to the test, all of them together: intervals, margins, and Holm's adjustment in the family.

A claim is supported when "it is false" is rejected, contradicted when "it is true" is, each by a one-sided bootstrap
p-value adjusted by Holm (1979) over the study's claims, at 2.5 %: what the end of a 95 % interval tests. Otherwise it
is undecided. A failure to reject is never read as agreement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from xtc_study.analysis.collect import RunFileError
from xtc_study.analysis.compare import differences
from xtc_study.analysis.stats import (
    CONFIDENCE,
    MIN_SEEDS,
    Claim,
    Difference,
    explain,
    holm,
)

LEVEL = (1 - CONFIDENCE) / 2
"""Of each one-sided test."""

Verdict = Literal["supported", "contradicted", "undecided", "not run"]


@dataclass(frozen=True)
class Answer:
    """One claim put to the test."""

    claim: str
    """The finding, in one sentence."""
    verdict: Verdict
    reasons: str
    """Why, with numbers: difference, interval, margin, seeds, examples, adjusted p-value."""
    test: Claim | None = None
    difference: Difference | None = None
    p_adjusted: float = float("nan")
    """Of the test that speaks for the verdict; of "the claim is false" where undecided."""


def p_values(claim: Claim, difference: Difference) -> tuple[float, float]:
    """One-sided bootstrap p-values of "the claim is false" and of "the claim is true".

    They are the shares of resamples in which it is, one added above and below so that neither is ever 0 (Davison and
    Hinkley 1997, eq. 4.11).
    """
    drawn = difference.drawn
    bound = claim.margin if claim.kind == "higher" else -claim.margin
    true = drawn < bound if claim.kind == "lower" else drawn > bound  # a difference of exactly the bound is not enough
    count = np.count_nonzero(true)
    return (1 + len(drawn) - count) / (1 + len(drawn)), (1 + count) / (1 + len(drawn))


def verdicts(family: Sequence[tuple[Claim, Difference]]) -> list[tuple[Verdict, float]]:
    """The verdict on each claim of a family and its Holm-adjusted p-value. One seed never decides."""
    if not family:
        return []
    against, in_favour = (holm(column) for column in zip(*(p_values(*item) for item in family), strict=True))
    found: list[tuple[Verdict, float]] = []
    for (_, difference), p_false, p_true in zip(family, against, in_favour, strict=True):
        if difference.n_seeds < MIN_SEEDS or not np.isfinite([difference.low, difference.high]).all():
            found.append(("undecided", float(p_false)))
        elif p_false <= LEVEL:
            found.append(("supported", float(p_false)))
        elif p_true <= LEVEL:
            found.append(("contradicted", float(p_true)))
        else:
            found.append(("undecided", float(p_false)))
    return found


def answers(
    claims: Sequence[tuple[str, Claim]],
    comparisons: Mapping[str, Mapping[str, Difference]],
    broken: str = "",
    nothing_done: bool = False,
) -> list[Answer]:
    """One answer a claim, in their order.

    Args:
        claims: each finding as a sentence and the same in numbers.
        comparisons: reference to arm to difference (``comparisons_of``). broken: why some of them are missing.
        nothing_done: no run of the study is done.
    """
    if nothing_done:
        return [
            Answer(text, "not run", "No answer yet: no run of this study is done.", claim) for text, claim in claims
        ]
    found = {index: comparisons[claim.reference].get(claim.arm) for index, (_, claim) in enumerate(claims)}
    family = [(claims[index][1], difference) for index, difference in found.items() if difference is not None]
    judged = iter(verdicts(family))
    result = []
    for index, (text, claim) in enumerate(claims):
        difference = found[index]
        if difference is None:
            waiting = f"Not every task is done for both {claim.arm} and {claim.reference}, so they cannot be compared."
            result.append(Answer(text, "undecided", broken or waiting, claim))
            continue
        verdict, p = next(judged)
        of = f" over {len(family)} claims" if len(family) > 1 else ""
        what = "the claim is true" if verdict == "contradicted" else "the claim is false"
        reasons = f"{explain(claim, difference)} P-value of '{what}': {p_text(p)}" + (f", Holm{of}." if of else ".")
        result.append(Answer(text, verdict, reasons, claim, difference, p))
    return result


def comparisons_of(
    runs_folder: Path, frame: pd.DataFrame, claims: Sequence[tuple[str, Claim]], reference: str | None = None
) -> tuple[dict[str, dict[str, Difference]], str]:
    """By reference and arm the differences that the claims are about, and what is wrong where there are none.

    Args:
        reference: every arm is compared with it too.
    """
    wanted: dict[str, set[str] | None] = {reference: None} if reference else {}
    for _, claim in claims:
        arms = wanted.setdefault(claim.reference, set())
        if arms is not None:
            arms.add(claim.arm)
    comparisons: dict[str, dict[str, Difference]] = {}
    broken = ""
    for name, arms in wanted.items():
        try:
            comparisons[name] = differences(runs_folder, frame, name, arms)
        except RunFileError as error:
            comparisons[name], broken = {}, f"The predictions cannot be compared: {error}."
    return comparisons, broken


def p_text(p: float) -> str:
    """``0.031``, or ``< 0.001``."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
