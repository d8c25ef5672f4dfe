"""What a study can see before it is run: the difference that so many seeds detect, and the seeds that one needs.

The same error as in ``stats.macro_difference``: a normal part for the examples and Student's t for the seeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import chdtri, ndtr, ndtri, stdtrit

from xtc_study.analysis.stats import CONFIDENCE, MIN_SEEDS, POWER, Difference
from xtc_study.analysis.weighted import Array

USUAL_SEED_SPREAD = 0.02
"""Standard deviation over seeds of a small student's score: two points, where nothing was measured."""
USUAL_DISAGREEMENT = 0.15
"""Share of examples that two arms answer differently, where nothing was measured."""
MOST_SEEDS = 20
"""More are not looked for."""
RESAMPLES = 200
"""Enough for a standard error; an interval's ends need more."""
_GRID = 1000


@dataclass(frozen=True)
class Spread:
    """What makes a difference uncertain. Scores are in the metric's scale."""

    seed_sd: float
    """Standard deviation over seeds of one arm's score on one task."""
    example_error: float
    """Standard error of the difference, mean over tasks, that the choice of examples gives."""
    tasks: int
    measured: str
    """Where both are from, in words."""


def detectable(spread: Spread, seeds: int) -> float:
    """The smallest true difference that so many seeds of each arm tell from none in 80 % of cases.

    Raises:
        ValueError: fewer than two seeds, from which no spread is known.
    """
    if seeds < MIN_SEEDS:
        raise ValueError(f"seeds={seeds}: expected at least {MIN_SEEDS}")
    freedom = 2 * (seeds - 1) * spread.tasks
    by_seeds = spread.seed_sd * np.sqrt(2 / (seeds * spread.tasks))
    error = float(np.hypot(spread.example_error, by_seeds))  # of the estimate, which is normal
    if error == 0:
        return 0.0
    # A difference is found where the estimate exceeds half an interval, whose width depends on the spread that these
    # few seeds happen to show: quantiles of chi-square. Those of a sum are taken as the root of the squares' sum.
    places = (np.arange(_GRID) + 0.5) / _GRID
    shown = by_seeds * np.sqrt(chdtri(freedom, 1 - places) / freedom)
    end = (1 + CONFIDENCE) / 2
    halves = np.hypot(spread.example_error * ndtri(end), shown * stdtrit(freedom, end))
    return float(brentq(lambda true: ndtr((true - halves) / error).mean() - POWER, 0, halves.max() + 5 * error))


def seeds_needed(spread: Spread, difference: float) -> int | None:
    """The fewest seeds that detect this difference; None where ``MOST_SEEDS`` do not."""
    return next((n for n in range(MIN_SEEDS, MOST_SEEDS + 1) if detectable(spread, n) <= difference), None)


def usual_spread(dev_rows: Mapping[str, int]) -> Spread:
    """What to expect where nothing was measured.

    Args:
        dev_rows: by task, the rows that are scored.
    """
    variances = [USUAL_DISAGREEMENT / rows for rows in dev_rows.values()]
    return Spread(
        USUAL_SEED_SPREAD,
        float(np.sqrt(sum(variances))) / len(variances),
        len(variances),
        f"assuming that seeds differ by {100 * USUAL_SEED_SPREAD:g} points and arms on "
        f"{USUAL_DISAGREEMENT:.0%} of the dev rows",
    )


def measured_spread(frame: pd.DataFrame, differences: Mapping[str, Difference]) -> Spread | None:
    """The spread of runs that are done; None where no arm has two seeds, or none was compared.

    Args:
        frame: rows of ``analysis.collect.collect``.
        differences: by arm, of the same runs.
    """
    primary = frame[frame["is_primary"]]
    groups = primary.groupby(["arm", "task", "split"])["value"].agg(["var", "size"]).dropna()
    errors = [found.example_error for found in differences.values() if np.isfinite(found.example_error)]
    if groups.empty or not errors:
        return None
    freedom: Array = groups["size"].to_numpy(np.float64) - 1
    pooled = float((groups["var"].to_numpy(np.float64) * freedom).sum() / freedom.sum())
    tasks = len(primary[["task", "split"]].drop_duplicates())
    done = primary["run_id"].nunique()
    return Spread(
        float(np.sqrt(pooled)),
        float(np.median(errors)),
        tasks,
        f"by the {done} runs that are done, whose seeds differ by {100 * np.sqrt(pooled):.1f} points",
    )


def power_text(spread: Spread, seeds: int) -> str:
    """What ``plan`` prints: the difference the planned seeds can see, and the seeds that 5, 2 and 1 points need."""
    needs = []
    for points in (5, 2, 1):
        needed = seeds_needed(spread, points / 100)
        if needed is not None:
            how_many = f"{needed} seeds"
        elif detectable(replace(spread, seed_sd=0.0), MOST_SEEDS) > points / 100:
            how_many = "more dev rows, whatever the seeds"
        else:
            how_many = f"more than {MOST_SEEDS} seeds"
        needs.append(f"{points} point{'s' if points > 1 else ''} need{'' if points > 1 else 's'} {how_many}")
    now = "one seed decides no claim"
    if seeds >= MIN_SEEDS:
        now = f"{seeds} seeds see a difference of {100 * detectable(spread, seeds):.1f} points in some 80 % of cases"
    return f"power: {now}; {', '.join(needs)} ({spread.measured})"
