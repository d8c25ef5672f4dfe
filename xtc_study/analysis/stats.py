"""The difference between two arms with its interval: examples by bootstrap, seeds by Student's t.

Scores and differences are in the metric's own scale: 0.01 is one point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from xtc_study.analysis.weighted import Array, weighted_scores

CONFIDENCE = 0.95
MIN_SEEDS = 2
"""A claim is about a recipe; one seed is one model, and its interval knows nothing of the other seeds."""
SURE_SEEDS = 3
"""A verdict on fewer seeds says so wherever it is shown."""
FEW_SEEDS = 5
"""Below this a report says that intervals are wide for want of seeds, and no interval of one arm alone is given."""
POWER = 0.8
"""How likely a true difference as large as ``Difference.detectable`` would have been found."""
SPANS = {"matthews": 2.0, "pearson": 2.0, "spearman": 2.0}
"""How far two scores of a metric can lie apart, where that is not 1."""
UNBOUNDED = ("mae", "rmse")
_BLOCK = 2**22
"""Weights held in memory at once: 32 MiB of float64. The largest GLUE dev set, QQP, has 40,430 examples."""


@dataclass(frozen=True)
class Difference:
    """Arm minus reference: the mean over seeds (and tasks) and its 95 % interval."""

    mean: float
    low: float
    high: float
    """The interval's ends lie within what the metric allows."""
    n_seeds: int
    """The smallest number of paired seeds over the tasks."""
    n_examples: int
    """Summed over the tasks."""
    resamples: int
    rng_seed: int
    drawn: Array = field(default_factory=lambda: np.empty(0), repr=False, compare=False)
    """(resamples,): where the true difference may lie, p-values are counted from it."""
    example_error: float = float("nan")
    """Standard error that the choice of examples gives."""
    seed_error: float = float("nan")
    """Standard error that the choice of seeds gives; NaN with one seed, of which nothing is known."""
    span: float = float("inf")
    """How far two scores can lie apart at all."""

    @property
    def seeds_counted(self) -> bool:
        """False with one seed: the interval then covers the choice of examples only."""
        return self.n_seeds > 1

    @property
    def detectable(self) -> float:
        """The smallest true difference that these seeds and examples alone tell from none in some 80 % of cases.

        Half the interval, which a difference must exceed to be seen, and the 80 % quantile of the error, by which four
        of five estimates fall short at most. Infinite where no possible difference is large enough; NaN with one seed
        or no draws. A claim with a margin is about the difference to that margin; one of several needs more (Holm).
        """
        if not self.seeds_counted or not len(self.drawn):
            return float("nan")
        error = np.abs(self.drawn - self.mean)
        beyond = np.quantile(np.concatenate([error, -error]), [(1 + CONFIDENCE) / 2, POWER])
        return float(beyond.sum()) if beyond.sum() <= self.span else float("inf")


@dataclass(frozen=True, eq=False)
class PairedSample:
    """The same seeds and examples, predicted by an arm and by its reference, on one split of one task."""

    task: str
    metric: str
    labels: Array
    """(examples,): class ids, or targets for regression."""
    arm: Array
    """(seeds, examples): predictions."""
    reference: Array
    """(seeds, examples): in the order of the arm's seeds and examples."""
    models: str = ""
    """Samples with the same word here are of the same models, as the two splits of MNLI are: seeds then vary the mean
    of these samples, not each by itself. Empty: of its own models."""
    same_training: bool = False
    """The arm and the reference of a seed are one trained model, treated in two ways after its training."""


def seen(difference: Difference) -> str:
    """The smallest difference that could have been seen, in words: ``4.6 points``, or that none could."""
    least = difference.detectable
    return "no possible difference" if np.isinf(least) else f"{100 * least:.1f} points"


def points(difference: float) -> str:
    """A difference in points with its sign (a true minus sign): 0.0042 gives ``+0.42``."""
    return f"{100 * difference:+.2f}".replace("-", "\N{MINUS SIGN}")


def holm(p_values: Sequence[float] | Array) -> Array:
    """Holm's (1979) step-down adjusted p-values, in the order given; the family is all of them."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return adjusted


def p_no_difference(difference: Difference) -> float:
    """Two-sided p-value of "there is no difference": twice the smaller share of draws on one side of 0.

    Those at 0 count on both sides, and one is added above and below, so that it is never 0 (Davison and Hinkley
    1997, eq. 4.11).
    """
    drawn = difference.drawn
    smaller = min(np.count_nonzero(drawn <= 0), np.count_nonzero(drawn >= 0))
    return float(min(1.0, 2 * (1 + smaller) / (1 + len(drawn))))


def paired_difference(
    metric: str, labels: Array, arm: Array, reference: Array, *, resamples: int = 2000, rng_seed: int = 0
) -> Difference:
    """``macro_difference`` of one task.

    Args:
        labels: (examples,); arm, reference: (seeds, examples), rows of the same seeds in the same order.

    Raises:
        ValueError: unknown metric, shapes that do not fit, nothing to resample, or values that are not finite.
    """
    return macro_difference([PairedSample("", metric, labels, arm, reference)], resamples=resamples, rng_seed=rng_seed)


def macro_difference(
    samples: Sequence[PairedSample], *, resamples: int = 2000, rng_seed: int = 0, stream: int = 0
) -> Difference:
    """The mean over tasks of arm minus reference, each the mean over its seeds; tasks are fixed.

    Two things make it uncertain, and each draw has both. *Examples*: the examples of each task are drawn with
    replacement, the same for both arms and all seeds (a paired bootstrap). *Seeds*: sqrt(W) times Student's t is added
    with W the sum over tasks of (s_arm^2 + s_reference^2) / n, over tasks^2, where s is the standard deviation over
    the n seeds of an arm's score on all examples; its degrees of freedom are Satterthwaite's (1946) over the tasks,
    each of which has 2 (n - 1), or n - 1 where the seeds of one arm do not differ at all. Arms are taken as two
    samples: a shared teacher makes them more alike, and the interval then too wide rather than too narrow. Only where
    both are one trained model (``same_training``) is the spread that of their differences, with n - 1. The interval is
    the 2.5 and 97.5 percentile of the draws.

    Why not draw the seeds with replacement too (the Multi-Bootstrap of Sellam et al., ICLR 2022): the spread of n
    drawn seeds is (n - 1) / n of the unbiased variance and knows no t. ``benchmarks/verdicts.py`` measures how often
    both rules err; results/bench/verdicts.md has the numbers. With one seed only examples are drawn.

    Args:
        stream: another number draws the t part from another stream, for a second difference that is to be independent
            of the first in its seeds, and the same in its examples.

    Raises:
        ValueError: as ``paired_difference``, no task, or the same ``models`` with other numbers of seeds.
    """
    if not samples or resamples < 1:
        raise ValueError(f"{len(samples)} tasks and {resamples} resamples: expected at least one of each")
    rng = np.random.default_rng(rng_seed)
    scores, drawn = zip(*(_scores(sample, resamples, rng) for sample in samples), strict=True)
    by_examples = np.mean(drawn, axis=0)
    variance, freedom = _seed_variance(samples, scores)
    each = by_examples
    if variance > 0:
        places = (np.arange(resamples) + 0.5) / resamples  # t's quantiles in random order: draws without their noise
        t = stdtrit(freedom, np.random.default_rng([rng_seed, stream]).permutation(places))
        each = by_examples + np.sqrt(variance) * t
    tail = 100 * (1 - CONFIDENCE) / 2
    most = float(np.mean([float("inf") if s.metric in UNBOUNDED else SPANS.get(s.metric, 1.0) for s in samples]))
    low, high = np.clip(np.percentile(each, [tail, 100 - tail]), -most, most)
    return Difference(
        mean=float(np.mean([(arm - reference).mean() for arm, reference in scores])),
        low=float(low),
        high=float(high),
        n_seeds=min(len(sample.arm) for sample in samples),
        n_examples=sum(len(sample.labels) for sample in samples),
        resamples=resamples,
        rng_seed=rng_seed,
        drawn=each,
        example_error=float(by_examples.std(ddof=1)) if resamples > 1 else float("nan"),
        seed_error=float(np.sqrt(variance)),
        span=most,
    )


def _seed_variance(samples: Sequence[PairedSample], scores: Sequence[tuple[Array, Array]]) -> tuple[float, float]:
    """The variance W that seeds give the mean over tasks, and Satterthwaite's degrees of freedom.

    NaN for both where a task has one seed. Samples of the same ``models`` count as one task with their mean score.
    """
    groups: dict[str, list[int]] = {}
    for place, sample in enumerate(samples):
        group = groups.setdefault(sample.models or f"sample {place}", [])
        if group and len(samples[group[0]].arm) != len(sample.arm):
            n = len(samples[group[0]].arm)
            raise ValueError(f"{sample.task}: {len(sample.arm)} seeds of models {sample.models!r}, expected {n}")
        group.append(place)
    variance = squares = 0.0
    for group in groups.values():
        n = len(samples[group[0]].arm)
        if n < 2:
            return float("nan"), float("nan")
        # Each (seeds,): this group's part of the mean over tasks.
        arm, reference = np.sum([scores[place] for place in group], axis=0) / len(samples)
        paired = all(samples[place].same_training for place in group)
        spreads = [(arm - reference).var(ddof=1)] if paired else [arm.var(ddof=1), reference.var(ddof=1)]
        part = float(np.sum(spreads)) / n
        variance += part
        squares += part**2 / (max(int(np.count_nonzero(spreads)), 1) * (n - 1))
    return variance, variance**2 / squares if squares > 0 else float("inf")


def _scores(sample: PairedSample, resamples: int, rng: np.random.Generator) -> tuple[tuple[Array, Array], Array]:
    """The arm's and the reference's score of each seed on all examples, and (resamples,) the mean over seeds of their
    difference on drawn examples."""
    labels, arm, reference = (
        np.asarray(values, dtype=np.float64) for values in (sample.labels, sample.arm, sample.reference)
    )
    if arm.ndim != 2 or arm.shape != reference.shape or labels.shape != arm.shape[1:] or not arm.size:
        raise ValueError(
            f"{sample.task}: labels {labels.shape}, arm {arm.shape} and reference {reference.shape} must be "
            "(examples,), (seeds, examples) and (seeds, examples), and not empty"
        )
    examples = len(labels)
    each_once = np.ones((1, examples))
    scores = (
        weighted_scores(sample.metric, each_once, labels, arm)[0],
        weighted_scores(sample.metric, each_once, labels, reference)[0],
    )
    drawn = np.empty(resamples)
    block = max(1, _BLOCK // examples)
    for start in range(0, resamples, block):
        stop = min(start + block, resamples)
        weights = _counts(rng.integers(examples, size=(stop - start, examples)), examples)
        difference = weighted_scores(sample.metric, weights, labels, arm)
        difference -= weighted_scores(sample.metric, weights, labels, reference)
        drawn[start:stop] = difference.mean(axis=1)
    return scores, drawn


def _counts(draws: npt.NDArray[np.int64], n: int) -> Array:
    """How often each of n things was drawn in each row: (rows, draws) to (rows, n)."""
    rows = len(draws)
    flat = draws + n * np.arange(rows)[:, None]
    return np.bincount(flat.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)
