"""One number for several tasks that a single odd run cannot move, with its interval (Agarwal et al., NeurIPS 2021)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import trim_mean

from xtc_study.analysis.stats import CONFIDENCE, FEW_SEEDS, Interval

Array = npt.NDArray[np.float64]


def interquartile_mean(scores: Array) -> float:
    """The mean of the middle half of all scores, (seeds, tasks) taken together (rliable's IQM)."""
    return float(trim_mean(np.asarray(scores, dtype=np.float64), 0.25, axis=None))


def probability_of_improvement(arm: Array, reference: Array) -> float:
    """How likely a run of the arm beats one of the reference, mean over tasks; ties count half.

    Args:
        arm, reference: (seeds, tasks); the numbers of seeds may differ.
    """
    better = (arm[:, None, :] > reference[None, :, :]).mean((0, 1))
    equal = (arm[:, None, :] == reference[None, :, :]).mean((0, 1))
    return float((better + equal / 2).mean())


def stratified_interval(
    scores: Array,
    statistic: Callable[[Array], float] = interquartile_mean,
    *,
    models: Sequence[str] | None = None,
    resamples: int = 2000,
    rng_seed: int = 0,
) -> Interval:
    """The statistic and its 95 % percentile interval, seeds drawn with replacement within each task.

    Args:
        scores: (seeds, tasks). The bounds are NaN below ``FEW_SEEDS`` seeds: drawn from so few, they are too narrow.
        models: for each column, whose scores it has; columns with the same word, as the two splits of MNLI, share the
            draw of seeds. None: each column has models of its own.

    Raises:
        ValueError: not one word a column.
    """
    scores = np.asarray(scores, dtype=np.float64)
    seeds, tasks = scores.shape
    names = list(range(tasks)) if models is None else list(models)
    if len(names) != tasks:
        raise ValueError(f"{len(names)} words for models: expected one for each of the {tasks} columns of scores")
    observed = statistic(scores)
    if seeds < FEW_SEEDS:
        return Interval(observed, float("nan"), float("nan"), seeds)
    rng = np.random.default_rng(rng_seed)
    groups = list(dict.fromkeys(names))
    draws = rng.integers(seeds, size=(resamples, seeds, len(groups)))[:, :, [groups.index(name) for name in names]]
    values = [statistic(scores[rows, np.arange(tasks)]) for rows in draws]
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(values, [tail, 100 - tail])
    return Interval(observed, float(low), float(high), seeds)
