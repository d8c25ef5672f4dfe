"""Simulate how often verdicts err: the rule of ``analysis.stats`` against the previous bootstrap over seeds.

    python benchmarks/verdicts.py [--repetitions 2000] [--output results/bench/verdicts.md]

Two arms without a true difference are judged by the claim "the arm is higher" without a margin. Only chance can decide
it, so *supported* and *contradicted* should each occur in at most 2.5 % of cases.

The model: an example is predicted correctly if a Gaussian score lies below a threshold. The score is the sum of three
parts: one that the example gives all models, one for all seeds of an arm, and one for a single seed. A seed moves its
model's threshold so that its accuracy over all possible examples varies around 84 % with the stated standard
deviation.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from xtc_study.analysis.claims import LEVEL, p_values
from xtc_study.analysis.power import Spread, detectable
from xtc_study.analysis.stats import Difference, PairedSample, macro_difference
from xtc_study.analysis.weighted import weighted_scores
from xtc_study.studies import ClaimSpec

Array = npt.NDArray[np.float64]

ACCURACY = 0.84
SHARES = (0.5, 0.1, 0.4)
"""Shares of the score's variance: of the example, of the example in one arm, of the example in one seed."""
CLAIM = ClaimSpec(
    sentence="The arm is better.", kind="higher", arm="arm", reference="reference", margin=0.0, source=""
)
SPREADS, SEEDS = (0.0, 2.0, 5.7), (2, 3, 5, 10)
WEIGHTS = 20
"""Number of draws of examples that the previous rule reuses."""
LIMIT = 3.5
"""Maximum percentage of wrong verdicts on a side, at 2, 3 and 5 seeds if the seeds of both arms have equal spread."""


@dataclass(frozen=True)
class Case:
    """One setting. Spreads are standard deviations over seeds, in points, of the arm and of the reference."""

    name: str
    spreads: tuple[tuple[float, float], ...]
    """One pair per task."""
    seeds: int
    examples: int = 1043
    lead: float = 0.0
    """Points by which the arm is truly better."""

    @property
    def alike(self) -> bool:
        return all(arm == reference for arm, reference in self.spreads)


def cases() -> Iterator[Case]:
    for spread, seeds in itertools.product(SPREADS, SEEDS):
        yield Case("one task", ((spread, spread),), seeds)
    for spread, seeds in itertools.product(SPREADS, SEEDS):
        yield Case("two tasks", ((spread, spread),) * 2, seeds)
    for spread, seeds in itertools.product(SPREADS[1:], SEEDS):
        yield Case("one task, arm twice and reference half as wide", ((2 * spread, spread / 2),), seeds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=500, help="resamples of each difference")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--output", type=Path, default=None, help="also write the tables to this file")
    chosen = parser.parse_args()
    with ProcessPoolExecutor(chosen.workers) as pool:
        lines = [*error_table(pool, chosen.repetitions, chosen.resamples), ""]
        lines += power_table(pool, chosen.repetitions, chosen.resamples)
    if chosen.output:
        chosen.output.parent.mkdir(parents=True, exist_ok=True)
        chosen.output.write_text("\n".join(lines) + "\n")


def error_table(pool: ProcessPoolExecutor, repetitions: int, resamples: int) -> list[str]:
    error = 100 * np.sqrt(LEVEL * (1 - LEVEL) / repetitions)
    head = [
        "# How often verdicts err",
        "",
        f"`python benchmarks/verdicts.py --repetitions {repetitions} --resamples {resamples}`: two arms without a "
        f"true difference, accuracy {100 * ACCURACY:g} %, 1,043 dev examples per task. Percentage of cases with the "
        f"verdict *supported* / *contradicted*; 2.5 / 2.5 is nominal, with a standard error of {error:.2f}. Spread: "
        "standard deviation over seeds, in points. Width: median of the 95 % interval, in points.",
        "",
        "| setting | seeds' spread | seeds | now: examples by bootstrap, seeds by t | width | before: bootstrap over "
        "seeds too | width |",
        "|---|---|---|---|---|---|---|",
    ]
    print("\n".join(head), flush=True)
    lines, every = [], list(cases())
    judged = pool.map(simulate, every, *(_same(repetitions, resamples, len(every))))
    for case, (now, before) in zip(every, judged, strict=True):
        spread = " and ".join(f"{one:g}" for one in sorted(set(case.spreads[0]), reverse=True))
        lines.append(f"| {case.name} | {spread} | {case.seeds} | {now} | {before} |")
        print(lines[-1], flush=True)
    sides = [
        float(side)
        for case, line in zip(every, lines, strict=True)
        if case.alike and case.seeds <= 5
        for side in line.split(" | ")[3].split(" / ")
    ]
    worst = (
        f"Worst side at 2, 3 and 5 seeds if the seeds of both arms have equal spread: {max(sides):.1f} % (limit "
        f"{LIMIT})."
    )
    print(worst, flush=True)
    return [*head, *lines, "", worst]


def power_table(pool: ProcessPoolExecutor, repetitions: int, resamples: int) -> list[str]:
    """Return a table of how often a true difference of ``power.detectable`` is detected, which should be 80 %."""
    head = [
        "## Is a detectable difference detected?",
        "",
        "The arm is truly better by the difference that `analysis/power.py` expects to be detected in 80 % of cases. "
        "Percentage of cases with the verdict *supported* / *contradicted*. The previous rule detects more of the "
        "true differences only because its intervals are too narrow.",
        "",
        "| setting | seeds' spread | seeds | true difference, points | now | width | before | width |",
        "|---|---|---|---|---|---|---|---|",
    ]
    print("\n".join(["", *head]), flush=True)
    every = []
    for tasks, spread, seeds in itertools.product((1, 2), SPREADS[:2], SEEDS[:3]):
        case = Case(f"{tasks} task{'s' * (tasks > 1)}", ((spread, spread),) * tasks, seeds)
        every.append(replace(case, lead=100 * detectable(measured(case), seeds)))
    lines = []
    judged = pool.map(simulate, every, *(_same(repetitions, resamples, len(every))))
    for case, (now, before) in zip(every, judged, strict=True):
        spread = f"{case.spreads[0][0]:g}"
        lines.append(f"| {case.name} | {spread} | {case.seeds} | {case.lead:.1f} | {now} | {before} |")
        print(lines[-1], flush=True)
    return [*head, *lines]


def measured(case: Case, repetitions: int = 50) -> Spread:
    """Return what ``power.measured_spread`` gives for runs of this case, on average over many studies."""
    variances, errors = [], []
    for number in range(repetitions):
        samples = [_sample(np.random.default_rng([number, 1]), case, pair) for pair in case.spreads]
        errors.append(macro_difference(samples, resamples=200).example_error)
        variances += [arm.mean(axis=1).var(ddof=1) for sample in samples for arm in (sample.arm, sample.reference)]
    return Spread(float(np.sqrt(np.mean(variances))), float(np.median(errors)), len(case.spreads), "")


def simulate(case: Case, repetitions: int, resamples: int) -> tuple[str, str]:
    """Return ``supported / contradicted | width`` of the current and the previous rule, in percent and points."""
    verdicts: list[list[tuple[float, float]]] = [[], []]
    widths: list[list[float]] = [[], []]
    for number in range(repetitions):
        rng = np.random.default_rng([number, case.seeds, len(case.spreads)])
        samples = [_sample(rng, case, pair) for pair in case.spreads]
        for rule, difference in enumerate(
            (macro_difference(samples, resamples=resamples, rng_seed=number), rule_before(samples, resamples, number))
        ):
            verdicts[rule].append(p_values(CLAIM, difference))
            widths[rule].append(100 * (difference.high - difference.low))
    cells = []
    for p, width in zip(np.asarray(verdicts), widths, strict=True):
        supported, contradicted = 100 * (p <= LEVEL).mean(axis=0)
        cells.append(f"{supported:.1f} / {contradicted:.1f} | {np.median(width):.1f}")
    return cells[0], cells[1]


def rule_before(samples: Sequence[PairedSample], resamples: int, rng_seed: int) -> Difference:
    """Judge by the previous rule: seeds and examples drawn with replacement (Multi-Bootstrap, Sellam et al. 2022)."""
    rng = np.random.default_rng(rng_seed)
    drawn = []
    for sample in samples:
        seeds, examples = sample.arm.shape
        of_seeds = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples) / seeds
        weights = example_weights(examples, resamples, int(rng.integers(WEIGHTS)))
        each = weighted_scores(sample.metric, weights, sample.labels, sample.arm)
        each -= weighted_scores(sample.metric, weights, sample.labels, sample.reference)
        drawn.append((of_seeds * each).sum(axis=1))
    mean = np.mean(drawn, axis=0)
    low, high = np.percentile(mean, [2.5, 97.5])
    return Difference(float(mean.mean()), low, high, len(samples[0].arm), 0, resamples, rng_seed, mean)


@cache
def example_weights(examples: int, resamples: int, number: int) -> Array:
    """Return how often each example is drawn, (resamples, examples). All repetitions share a few such draws."""
    draws = np.random.default_rng([number, 2]).integers(examples, size=(resamples, examples))
    return np.stack([np.bincount(row, minlength=examples) for row in draws]).astype(np.float64)


def _sample(rng: np.random.Generator, case: Case, spreads: tuple[float, float]) -> PairedSample:
    shared, of_arm, of_seed = np.sqrt(SHARES)
    for_all = shared * rng.standard_normal(case.examples)
    answers = []
    for spread, lead in zip(spreads, (case.lead, 0.0), strict=True):
        accuracy = ACCURACY + (lead + spread * rng.standard_normal((case.seeds, 1))) / 100
        score = for_all + of_arm * rng.standard_normal(case.examples)
        score = score + of_seed * rng.standard_normal((case.seeds, case.examples))
        answers.append((score < ndtri(np.clip(accuracy, 0.01, 0.999))).astype(np.float64))
    return PairedSample("", "accuracy", np.ones(case.examples), *answers)


def _same(repetitions: int, resamples: int, times: int) -> tuple[list[int], list[int]]:
    return [repetitions] * times, [resamples] * times


if __name__ == "__main__":
    main()
