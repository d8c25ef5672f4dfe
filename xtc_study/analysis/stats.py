"""The difference between two arms with its interval: examples by bootstrap, seeds by Student's t.

Scores and differences are in the metric's own scale: 0.01 is one point.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from xtc_study.analysis.weighted import Array, weighted_scores

CONFIDENCE = 0.95
MIN_SEEDS = 2
"""A claim is about a recipe, but one seed is one model: its interval does not cover the spread between seeds."""
SURE_SEEDS = 3
"""A verdict on fewer seeds is shown with their number."""
FEW_SEEDS = 5
"""Below this number a report warns that few seeds make intervals wide, and shows no interval of a single arm."""
POWER = 0.8
"""Probability of detecting a true difference as large as ``Difference.detectable``."""
SPANS = {"matthews": 2.0, "pearson": 2.0, "spearman": 2.0}
"""The largest possible difference of two scores of a metric; 1 for the others."""
UNBOUNDED = ("mae", "rmse")
_BLOCK = 2**22
"""Weights held in memory at once: 32 MiB of float64. The largest GLUE dev set, QQP, has 40,430 examples."""


@dataclass(frozen=True)
class Difference:
    """Arm minus reference: the mean over seeds (and tasks) and its 95 % interval."""

    mean: float
    low: float
    high: float
    """The ends of the interval, cut to the range that the metric allows."""
    n_seeds: int
    """The smallest number of paired seeds over the tasks."""
    n_examples: int
    """Summed over the tasks."""
    resamples: int
    rng_seed: int
    drawn: Array = field(default_factory=lambda: np.empty(0), repr=False, compare=False)
    """(resamples,): draws of the true difference, from which p-values are counted."""
    example_error: float = float("nan")
    """Standard error due to the choice of examples."""
    seed_error: float = float("nan")
    """Standard error due to the choice of seeds; NaN with one seed, which shows no spread."""
    span: float = float("inf")
    """The largest possible difference of two scores."""
    seedless: bool = False
    """Whether both arms draw nothing at random: one run then says all about seeds that there is to say."""

    @property
    def seeds_counted(self) -> bool:
        """False with one seed of an arm that has seeds: the interval then covers the choice of examples only."""
        return self.n_seeds > 1 or self.seedless

    @property
    def detectable(self) -> float:
        """The smallest true difference that these seeds and examples detect in about 80 % of cases.

        It is half the interval, which an estimate must exceed to be detected, plus the 80 % quantile of the error:
        four of five estimates fall short of the truth by at most that. Infinite if no possible difference is large
        enough; NaN with one seed or no draws. For a claim with a margin it is the distance to the margin that counts,
        and one of several claims needs more (Holm).
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
    """Samples with the same text here come from the same models, as the two splits of MNLI do: seeds then vary the
    mean of these samples, not each sample on its own. Empty: the sample shares its models with no other."""
    same_training: bool = False
    """True if the arm and the reference of a seed are one trained model that was changed after training."""
    seedless: bool = False
    """True if neither the arm nor the reference draws anything at random (static tables)."""


def seen(difference: Difference) -> str:
    """Return the smallest detectable difference in words: ``4.6 points`` or ``no possible difference``."""
    least = difference.detectable
    return "no possible difference" if np.isinf(least) else f"{100 * least:.1f} points"


def points(difference: float) -> str:
    """Return a difference in points with its sign (a true minus sign): 0.0042 gives ``+0.42``."""
    return f"{100 * difference:+.2f}".replace("-", "\N{MINUS SIGN}")


def holm(p_values: Sequence[float] | Array) -> Array:
    """Return Holm's (1979) step-down adjusted p-values, in the order given; all of them form the family."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return adjusted


def p_no_difference(difference: Difference) -> float:
    """Return the two-sided p-value of "there is no difference": twice the smaller share of draws on one side of 0.

    Draws at 0 count on both sides; 1 is added to both counts so that the p-value is never 0 (Davison and Hinkley 1997,
    eq. 4.11).
    """
    drawn = difference.drawn
    smaller = min(np.count_nonzero(drawn <= 0), np.count_nonzero(drawn >= 0))
    return float(min(1.0, 2 * (1 + smaller) / (1 + len(drawn))))


def paired_difference(
    metric: str, labels: Array, arm: Array, reference: Array, *, resamples: int = 2000, rng_seed: int = 0
) -> Difference:
    """Return the ``macro_difference`` of a single task.

    Args:
        metric: a name of ``xtc_study.tasks.metrics.METRICS``.
        labels: (examples,).
        arm: (seeds, examples), predictions.
        reference: (seeds, examples), predictions of the same seeds in the same order.
        resamples: number of bootstrap resamples.
        rng_seed: seed of the random generator.

    Raises:
        ValueError: unknown metric, shapes that do not match, nothing to resample, or values that are not finite.
    """
    return macro_difference([PairedSample("", metric, labels, arm, reference)], resamples=resamples, rng_seed=rng_seed)


def macro_difference(
    samples: Sequence[PairedSample], *, resamples: int = 2000, rng_seed: int = 0, stream: int = 0
) -> Difference:
    """Return the mean over tasks of arm minus reference, each a mean over its seeds. The tasks are taken as fixed.

    Each draw covers two sources of uncertainty.

    *Examples*: the examples of each task are drawn with replacement, the same for both arms and all seeds (a paired
    bootstrap).

    *Seeds*: sqrt(W) times Student's t is added. W is the sum over tasks of (s_arm^2 + s_reference^2) / n, divided by
    tasks^2, where s is the standard deviation over the n seeds of an arm's score on all examples. Its degrees of
    freedom are Satterthwaite's (1946) over the tasks, each of which has 2 (n - 1), or n - 1 if the seeds of one arm do
    not differ at all. The arms count as two samples: a shared teacher makes them more alike, so the interval tends to
    be too wide rather than too narrow. Only if both are one trained model (``same_training``) is the spread that of
    their differences, with n - 1.

    The interval is the 2.5 and 97.5 percentile of the draws. With one seed only examples are drawn, and with arms
    that draw nothing at random (``seedless``) there is nothing else to draw.

    The seeds are not drawn with replacement too (the Multi-Bootstrap of Sellam et al., ICLR 2022), because the spread
    of n drawn seeds is (n - 1) / n of the unbiased variance and does not account for t. ``benchmarks/verdicts.py``
    measures how often both rules err; results/bench/verdicts.md has the numbers.

    Args:
        samples: one per task and split.
        resamples: number of bootstrap resamples.
        rng_seed: seed of the random generator.
        stream: another number draws the t part from another stream, so that two differences are independent in their
            seeds but use the same examples.

    Raises:
        ValueError: as ``paired_difference``; no task; or samples of the same ``models`` with different numbers of
            seeds.
    """
    if not samples or resamples < 1:
        raise ValueError(f"{len(samples)} tasks and {resamples} resamples: expected at least one of each")

    # The bootstrap over examples.
    rng = np.random.default_rng(rng_seed)
    scores, drawn = zip(*(_scores(sample, resamples, rng) for sample in samples), strict=True)
    by_examples = np.mean(drawn, axis=0)

    # The seeds' part, added to each draw: the quantiles of t in random order, which spares the noise of random draws.
    variance, freedom = _seed_variance(samples, scores)
    return with_interval(
        float(np.mean([(arm - reference).mean() for arm, reference in scores])),
        by_examples,
        (variance, freedom),
        span=span_of([sample.metric for sample in samples]),
        n_seeds=min(len(sample.arm) for sample in samples),
        n_examples=sum(len(sample.labels) for sample in samples),
        rng_seed=rng_seed,
        stream=stream,
        seedless=all(sample.seedless for sample in samples),
    )


def with_interval(
    mean: float,
    by_examples: Array,
    seeds: tuple[float, float],
    *,
    span: float,
    n_seeds: int,
    n_examples: int,
    rng_seed: int = 0,
    stream: int = 0,
    seedless: bool = False,
) -> Difference:
    """Return a difference with its interval: to each draw over examples a draw over seeds is added.

    Args:
        mean: the difference on all examples.
        by_examples: (resamples,): the same on drawn examples.
        seeds: its variance due to seeds, and the degrees of freedom of that variance; NaN where it is not known.
        span: the largest possible difference.
        n_seeds, n_examples, seedless: as in ``Difference``.
        rng_seed: seed of the random generator.
        stream: as for ``macro_difference``.
    """
    variance, freedom = seeds
    resamples, draws = len(by_examples), by_examples
    if variance > 0:
        quantiles = (np.arange(resamples) + 0.5) / resamples
        t = stdtrit(freedom, np.random.default_rng([rng_seed, stream]).permutation(quantiles))
        draws = by_examples + np.sqrt(variance) * t

    # No difference of means can lie outside the metrics' range.
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.clip(np.percentile(draws, [tail, 100 - tail]), -span, span)
    return Difference(
        mean=mean,
        low=float(low),
        high=float(high),
        n_seeds=n_seeds,
        n_examples=n_examples,
        resamples=resamples,
        rng_seed=rng_seed,
        drawn=draws,
        example_error=float(by_examples.std(ddof=1)) if resamples > 1 else float("nan"),
        seed_error=float(np.sqrt(variance)),
        span=span,
        seedless=seedless,
    )


def span_of(metrics: Sequence[str]) -> float:
    """Return the largest possible difference of two means over these metrics."""
    return float(np.mean([float("inf") if metric in UNBOUNDED else SPANS.get(metric, 1.0) for metric in metrics]))


def _seed_variance(samples: Sequence[PairedSample], scores: Sequence[tuple[Array, Array]]) -> tuple[float, float]:
    """Return the variance W of the mean over tasks due to seeds, and Satterthwaite's degrees of freedom.

    Both are NaN if a task has one seed. Samples of the same ``models`` count as one task with their mean score.
    """
    # Samples of the same models vary together, so they form one group.
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
        if all(samples[place].seedless for place in group):
            continue
        if n < 2:
            return float("nan"), float("nan")

        # (seeds,) each: this group's part of the mean over tasks.
        arm, reference = np.sum([scores[place] for place in group], axis=0) / len(samples)
        paired = all(samples[place].same_training for place in group)
        spreads = [(arm - reference).var(ddof=1)] if paired else [arm.var(ddof=1), reference.var(ddof=1)]
        part = float(np.sum(spreads)) / n
        variance += part
        squares += part**2 / (max(int(np.count_nonzero(spreads)), 1) * (n - 1))
    return variance, variance**2 / squares if squares > 0 else float("inf")


def _scores(sample: PairedSample, resamples: int, rng: np.random.Generator) -> tuple[tuple[Array, Array], Array]:
    """Return the scores of arm and reference on all examples, (seeds,) each, and their difference on drawn examples.

    The difference is the mean over seeds, (resamples,).
    """
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

    drawn = []
    for weights in drawn_weights(examples, resamples, rng):
        difference = weighted_scores(sample.metric, weights, labels, arm)
        difference -= weighted_scores(sample.metric, weights, labels, reference)
        drawn.append(difference.mean(axis=1))
    return scores, np.concatenate(drawn)


def drawn_weights(examples: int, resamples: int, rng: np.random.Generator) -> Iterator[Array]:
    """Yield how often each example is drawn in each resample, (some resamples, examples) at a time.

    They come in blocks, so that the weights of a large dev set fit in memory.
    """
    block = max(1, _BLOCK // examples)
    for start in range(0, resamples, block):
        stop = min(start + block, resamples)
        yield _counts(rng.integers(examples, size=(stop - start, examples)), examples)


def _counts(draws: npt.NDArray[np.int64], n: int) -> Array:
    """Count how often each of n examples was drawn in each row: (rows, draws) to (rows, n)."""
    rows = len(draws)
    flat = draws + n * np.arange(rows)[:, None]
    return np.bincount(flat.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)
