"""Test a study's claims together: intervals, margins, and Holm's adjustment over the family.

A claim is supported when "it is false" is rejected and contradicted when "it is true" is rejected. Each test uses a
one-sided p-value (``stats.macro_difference`` describes the draws), adjusted by Holm (1979) over the study's claims, at
2.5 %, the level that one end of a 95 % interval tests. Otherwise the claim is undecided. A test that does not reject
is never taken as evidence of equality.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from xtc_study.analysis.compare import differences
from xtc_study.analysis.stats import CONFIDENCE, MIN_SEEDS, POWER, SURE_SEEDS, Difference, holm, points, seen
from xtc_study.runs.records import RunFileError
from xtc_study.studies import ClaimSpec

LEVEL = (1 - CONFIDENCE) / 2
"""Significance level of each one-sided test."""

RULE = (
    "A claim is supported if the hypothesis 'the claim is false' is rejected, and contradicted if 'the claim is true' "
    "is rejected, each by a one-sided p-value of at most 2.5 % after Holm's adjustment over the claims of the study. "
    "Otherwise it is undecided, even if its own interval lies beyond the margin. Intervals and p-values cover two "
    "sources of chance: dev examples (a paired bootstrap) and seeds (Student's t with the spread of the seeds run)."
)
"""The rule of ``verdicts``, for pages."""

OF_FACTORS = ""
"""The reference, among comparisons, of the effects of factors: each is compared with its own low arms."""

Verdict = Literal["supported", "contradicted", "undecided", "not run"]


@dataclass(frozen=True)
class Answer:
    """One tested claim."""

    claim: ClaimSpec
    verdict: Verdict
    reasons: str
    """Why, with numbers: difference, interval, margin, seeds, examples, adjusted p-value."""
    difference: Difference | None = None
    """None where the arms cannot be compared."""
    p_adjusted: float = float("nan")
    """The p-value of the test that gave the verdict; that of "the claim is false" where undecided."""

    @property
    def label(self) -> str:
        """The verdict as pages show it: ``supported``, or ``supported, on 2 seeds`` below ``SURE_SEEDS``."""
        seeds = self.difference.n_seeds if self.difference and not self.difference.seedless else SURE_SEEDS
        return f"{self.verdict}, on {seeds} seed{'s' if seeds > 1 else ''}" if seeds < SURE_SEEDS else self.verdict


def p_values(claim: ClaimSpec, difference: Difference) -> tuple[float, float]:
    """Return the one-sided p-values of "the claim is false" and of "the claim is true".

    Each is the share of draws in which that hypothesis holds, with 1 added to both counts so that it is never 0
    (Davison and Hinkley 1997, eq. 4.11).
    """
    drawn = difference.drawn
    # A difference equal to the bound does not support the claim.
    true = drawn < claim.bound if claim.kind == "lower" else drawn > claim.bound
    count = np.count_nonzero(true)
    return (1 + len(drawn) - count) / (1 + len(drawn)), (1 + count) / (1 + len(drawn))


def adjusted(family: Sequence[tuple[ClaimSpec, Difference]]) -> list[tuple[float, float]]:
    """Return the ``p_values`` of each claim, each of the two kinds adjusted by Holm over the family."""
    if not family:
        return []
    against, in_favour = (holm(column) for column in zip(*(p_values(*item) for item in family), strict=True))
    return list(zip(against.tolist(), in_favour.tolist(), strict=True))


def verdicts(family: Sequence[tuple[ClaimSpec, Difference]]) -> list[tuple[Verdict, float]]:
    """Return the verdict on each claim of a family and its Holm-adjusted p-value. One seed never decides a claim."""
    judged: list[tuple[Verdict, float]] = []
    for (_, difference), (p_false, p_true) in zip(family, adjusted(family), strict=True):
        if not _can_decide(difference):
            judged.append(("undecided", p_false))
        elif p_false <= LEVEL:
            judged.append(("supported", p_false))
        elif p_true <= LEVEL:
            judged.append(("contradicted", p_true))
        else:
            judged.append(("undecided", p_false))
    return judged


def answers(
    claims: Sequence[ClaimSpec],
    comparisons: Mapping[str, Mapping[str, Difference]],
    broken: Mapping[tuple[str, str], str] | None = None,
    nothing_done: bool = False,
) -> list[Answer]:
    """Return one answer per claim, in the claims' order.

    Args:
        claims: the claims of one study.
        comparisons: by reference and arm, the difference (``comparisons_of``); with ``OF_FACTORS`` in place of a
            reference, the effects of factors (``factor_effects``).
        broken: by arm and reference, why a pair that was run cannot be compared.
        nothing_done: True if no run of the study is done.
    """
    if nothing_done:
        return [Answer(claim, "not run", "No answer yet: no run of this study is done.") for claim in claims]

    # The family is what can be compared: Holm's adjustment does not count claims without a p-value.
    compared = [comparisons[claim.reference or OF_FACTORS].get(claim.about) for claim in claims]
    family = [
        (claim, difference) for claim, difference in zip(claims, compared, strict=True) if difference is not None
    ]
    judged = iter(zip(verdicts(family), adjusted(family), strict=True))

    result = []
    for claim, difference in zip(claims, compared, strict=True):
        if difference is None:
            waiting = f"{claim.arm} and {claim.reference} cannot be compared until every task is done for both."
            if claim.factor:
                waiting = f"The effect of {claim.factor} needs a seed that every arm has done on every task."
            why = (broken or {}).get((claim.about, claim.reference or OF_FACTORS))
            result.append(Answer(claim, "undecided" if why else "not run", why or waiting))
            continue
        (verdict, p), both = next(judged)
        reasons = f"{explain(claim, difference)} {_tests(claim, difference, verdict, both, len(family))}"
        result.append(Answer(claim, verdict, reasons, difference, p))
    return result


def explain(claim: ClaimSpec, difference: Difference) -> str:
    """Return the numbers behind a verdict as one sentence.

    It gives the difference with its interval, what was claimed, the seeds, the examples, and the smallest difference
    that these seeds could detect.
    """
    low, high = points(difference.low), points(difference.high)
    less = "more than " if claim.margin else ""
    asserted = {"equivalent": "at most {} below", "lower": less + "{} below", "higher": less + "{} above"}[claim.kind]
    margin = f"{100 * claim.margin:g} point" + ("s" if claim.margin != 0.01 else "") if claim.margin else ""
    seeds = (
        f"{difference.n_seeds} seeds"
        if difference.seeds_counted
        else "1 seed: the interval covers the choice of examples only"
    )
    if difference.seedless:
        seeds = "no seeds: nothing is drawn at random"
    more = f"; a verdict needs at least {MIN_SEEDS} seeds"
    if difference.seeds_counted:
        more = f"; {_power_words(difference)}"
    what = f"{claim.arm} minus {claim.reference}"
    if claim.factor:
        what = f"Effect of {claim.factor} (the mean over the arms that have it high minus that over the others)"
    return (
        f"{what}: {points(difference.mean)} points, 95 % interval {low} to {high}; "
        f"claimed: {asserted.format(margin).strip()} "
        f"({seeds}, {difference.n_examples:,} examples, {difference.resamples:,} resamples{more})."
    )


def _power_words(difference: Difference) -> str:
    """Return in words what difference these seeds could detect if the claim had no margin and were the only one."""
    of = "examples" if difference.seedless else "seeds"
    if np.isinf(difference.detectable):
        return f"these {of} could not detect even the largest possible difference"
    share = f"{100 * POWER:.0f} % of cases"
    return f"these {of} alone could detect a difference of {seen(difference)} in {share}"


def _can_decide(difference: Difference) -> bool:
    return (difference.n_seeds >= MIN_SEEDS or difference.seedless) and bool(
        np.isfinite([difference.low, difference.high]).all()
    )


def _tests(claim: ClaimSpec, difference: Difference, verdict: Verdict, both: tuple[float, float], family: int) -> str:
    """Return the p-value that decided, or both if neither did, and whether Holm's adjustment changed the verdict."""
    holm_over = f"Holm over {family} claims"
    (p_false, p_true), by = both, f", {holm_over}" if family > 1 else ""
    if verdict != "undecided":
        what, p = ("true", p_true) if verdict == "contradicted" else ("false", p_false)
        return f"P-value of 'the claim is {what}': {p_text(p)}{by}."
    text = f"P-values: {p_text(p_false)} of 'the claim is false', {p_text(p_true)} of 'the claim is true'{by}."
    alone = p_values(claim, difference)
    if _can_decide(difference) and min(alone) <= LEVEL:
        would_be = "supported" if alone[0] <= LEVEL else "contradicted"
        text += f" Tested alone it would be {would_be} (p {p_text(min(alone))}); after {holm_over} it is not."
    return text


def comparisons_of(
    runs_folder: Path,
    frame: pd.DataFrame,
    claims: Sequence[ClaimSpec],
    reference: str | None = None,
    own_streams: bool = False,
) -> tuple[dict[str, dict[str, Difference]], dict[tuple[str, str], str]]:
    """Return the differences that the claims need, and why the other pairs cannot be compared.

    The differences are by reference and arm, the reasons by arm and reference. An arm whose predictions cannot be
    used is left out; the others are still compared.

    Args:
        runs_folder: contains the run folders.
        frame: rows of ``analysis.collect.collect``, of one study.
        claims: the claims whose arms and references are compared; those about factors are left to
            ``factor_effects``.
        reference: compare every arm with this one too.
        own_streams: as for ``differences``.
    """
    # Which arms to compare with each reference; None stands for all.
    wanted: dict[str, set[str] | None] = {reference: None} if reference else {}
    for claim in (claim for claim in claims if not claim.factor):
        arms = wanted.setdefault(claim.reference, set())
        if arms is not None:
            arms.add(claim.arm)

    comparisons: dict[str, dict[str, Difference]] = {}
    broken = {}
    for name, arms in wanted.items():
        comparisons[name] = {}
        for arm in frame["arm"].unique():
            if arm == name or (arms is not None and arm not in arms):
                continue
            try:
                comparisons[name] |= differences(runs_folder, frame, name, {arm}, own_streams=own_streams)
            except RunFileError as error:
                broken[str(arm), name] = f"The predictions cannot be compared: {error}."
    return comparisons, broken


def p_text(p: float) -> str:
    """Return a p-value as text: ``0.031``, or ``< 0.001``."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
