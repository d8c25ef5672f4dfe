"""Power analysis before a study is run: the difference that n seeds detect, and the seeds a difference needs.

The error model is that of ``stats.macro_difference``: a normal part for the examples and Student's t for the seeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import chdtri, ndtr, ndtri, stdtrit

from xtc_study.analysis.compare import differences
from xtc_study.analysis.factor_effects import effects_of, missing
from xtc_study.analysis.stats import CONFIDENCE, MIN_SEEDS, POWER, Difference
from xtc_study.analysis.weighted import Array
from xtc_study.runs.records import RunFileError
from xtc_study.studies import StudySpec

USUAL_SEED_SPREAD = 0.02
"""Standard deviation over seeds of a small student's score, assumed if none was measured: two points."""
USUAL_DISAGREEMENT = 0.15
"""Share of examples that two arms answer differently, assumed if none was measured."""
MOST_SEEDS = 20
"""Upper end of the search for the seeds needed."""
RESAMPLES = 200
"""Enough for a standard error; the ends of an interval need more."""
_GRID = 1000


@dataclass(frozen=True)
class Spread:
    """What makes a difference uncertain. Scores are in the metric's scale."""

    seed_sd: float
    """Standard deviation over seeds of one arm's score on one task."""
    example_error: float
    """Standard error of the difference (the mean over tasks) due to the choice of examples."""
    tasks: int
    measured: str
    """In words, where the two numbers come from."""
    arms: int = 2
    """Arms that a difference is a mean over, half of them on each side; above two it is the effect of a factor."""


def detectable(spread: Spread, seeds: int) -> float:
    """Return the smallest true difference, or effect, that this number of seeds per arm detects in 80 % of cases.

    Args:
        spread: what makes the difference uncertain.
        seeds: seeds per arm.

    Raises:
        ValueError: fewer than two seeds, which show no spread.
    """
    if seeds < MIN_SEEDS:
        raise ValueError(f"seeds={seeds}: expected at least {MIN_SEEDS}")
    # Two arms are two samples; more share blocks, the seeds, which take a degree of freedom each but one.
    freedom = (2 if spread.arms == 2 else spread.arms - 1) * (seeds - 1) * spread.tasks
    by_seeds = spread.seed_sd * np.sqrt(4 / (spread.arms * seeds * spread.tasks))
    error = float(np.hypot(spread.example_error, by_seeds))  # of the estimate, which is normal
    if error == 0:
        return 0.0

    # A difference is detected if the estimate exceeds half of the interval. That width depends on the spread that
    # these few seeds happen to show (quantiles of chi-square); the quantile of the sum of both parts is approximated
    # by the root of the sum of squares.
    quantiles = (np.arange(_GRID) + 0.5) / _GRID
    observed = by_seeds * np.sqrt(chdtri(freedom, 1 - quantiles) / freedom)
    end = (1 + CONFIDENCE) / 2
    half_widths = np.hypot(spread.example_error * ndtri(end), observed * stdtrit(freedom, end))
    return float(
        brentq(lambda true: ndtr((true - half_widths) / error).mean() - POWER, 0, half_widths.max() + 5 * error)
    )


def seeds_needed(spread: Spread, difference: float) -> int | None:
    """Return the smallest number of seeds that detects this difference; None if ``MOST_SEEDS`` do not."""
    return next((n for n in range(MIN_SEEDS, MOST_SEEDS + 1) if detectable(spread, n) <= difference), None)


def usual_spread(dev_rows: Mapping[str, int], arms: int = 2) -> Spread:
    """Return the spread to assume if nothing was measured; pairs of arms are taken to disagree independently.

    Args:
        dev_rows: by task, the number of rows that are scored.
        arms: as in ``Spread``.
    """
    variances = [USUAL_DISAGREEMENT / rows * 2 / arms for rows in dev_rows.values()]
    return Spread(
        USUAL_SEED_SPREAD,
        float(np.sqrt(sum(variances))) / len(variances),
        len(variances),
        f"assuming that seeds differ by {100 * USUAL_SEED_SPREAD:g} points and that arms disagree on "
        f"{USUAL_DISAGREEMENT:.0%} of the dev rows",
        arms,
    )


def measured_spread(frame: pd.DataFrame, found: Mapping[str, Difference], arms: int = 2) -> Spread | None:
    """Return the spread of the done runs; None if no arm has two seeds or no arms were compared.

    Args:
        frame: rows of ``analysis.collect.collect``.
        found: by arm, the difference computed from the same runs; or by factor, the effect.
        arms: as in ``Spread``.
    """
    primary = frame[frame["is_primary"]]
    groups = primary.groupby(["arm", "task", "split"])["value"].agg(["var", "size"]).dropna()
    errors = [each.example_error for each in found.values() if np.isfinite(each.example_error)]
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
        f"measured on the {done} runs that are done, whose seeds differ by {100 * np.sqrt(pooled):.1f} points",
        arms,
    )


def spread_of(runs_folder: Path, frame: pd.DataFrame, spec: StudySpec) -> Spread | None:
    """Return the spread of the done runs of a study: of its differences or, where it has a design, of its effects.

    Args:
        runs_folder: contains the run folders.
        frame: rows of ``analysis.collect.collect`` of the study.
        spec: the study at its profile.

    Returns:
        None where ``measured_spread`` is, and where predictions cannot be used: the report names the file.
    """
    try:
        if spec.design is None:
            found = differences(runs_folder, frame, spec.reference, resamples=RESAMPLES)
            return measured_spread(frame, found)
        if missing(frame, spec):
            return None
        return measured_spread(frame, effects_of(runs_folder, frame, spec).by_factor(), len(spec.arms))
    except RunFileError:
        return None


def power_text(spread: Spread, seeds: int) -> str:
    """Return what ``plan`` prints: the difference that the planned seeds detect, and the seeds 5, 2 and 1 points need.

    Args:
        spread: what makes a difference uncertain.
        seeds: planned seeds per arm.
    """
    needs = []
    for points in (5, 2, 1):
        needed = seeds_needed(spread, points / 100)
        if needed is not None:
            how_many = f"{needed} seeds"
        elif detectable(replace(spread, seed_sd=0.0), MOST_SEEDS) > points / 100:
            how_many = "more dev rows, whatever the number of seeds"
        else:
            how_many = f"more than {MOST_SEEDS} seeds"
        needs.append(f"{points} point{'s' if points > 1 else ''} need{'' if points > 1 else 's'} {how_many}")
    now = "one seed cannot decide a claim"
    if seeds >= MIN_SEEDS:
        what = "a difference" if spread.arms == 2 else f"an effect of a factor, over {spread.arms} arms,"
        difference = f"{what} of {100 * detectable(spread, seeds):.1f} points"
        now = f"{seeds} seeds detect {difference} in about {100 * POWER:.0f} % of cases"
    return f"power: {now}; {', '.join(needs)} ({spread.measured})"
