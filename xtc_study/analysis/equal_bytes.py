"""For a budget of bytes, the arm with the best score among all studies' arms whose file fits into it.

Choice and score use the same dev rows, so the best of many arms looks better than it is. ``analysis.optimism`` says by
how much, and ``analysis.best_of_budget`` lowers its scores and intervals by that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from xtc_study.analysis.compare import AFTER_TRAINING
from xtc_study.analysis.stats import MIN_SEEDS
from xtc_study.recipe import Recipe

BUDGETS_MB = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 91.0)
"""Budgets of a file, in MB of 10^6 bytes. The last one holds all-MiniLM-L6-v2 in fp32 (90.9 MB)."""
STATIC, TRIAL = "static", "holdout"
"""Recipe fields that older frames lack: the width of a table of token vectors, which stands in place of an encoder;
and the share of training rows that a trial is scored on."""
_ROUNDING = 12
"""Decimals of a score; what differs less is a tie."""


@dataclass(frozen=True)
class SizedArm:
    """One recipe on one split of a task, over its seeds: what it scores and what its file weighs."""

    study: str
    """The first study that has it."""
    arm: str
    """Its name there."""
    task: str
    split: str
    metric: str
    score: float
    """Mean over seeds, in the metric's scale."""
    low: float
    """Score of the lowest seed."""
    high: float
    """Score of the highest seed."""
    size_bytes: int
    """Bytes on disk, of the largest of its seeds' files."""
    static: bool
    """True: a table of token vectors without a transformer, which no seed changes."""
    training: str
    """Arms with the same text here are the same trained models, changed after training."""
    runs: Mapping[int, str]
    """Run ids by seed."""

    @property
    def seeds(self) -> int:
        return len(self.runs)


def sized_arms(frame: pd.DataFrame) -> dict[tuple[str, str], list[SizedArm]]:
    """Return by task and split every arm that can be chosen, in order of appearance.

    Arms of several studies with the same recipe are one arm, with the first study's name and all seeds that any of
    the studies has done. Its score is the mean over them.

    Args:
        frame: rows of ``analysis.collect.collect``, of any studies. Trials of a tuning are left out: they are scored
            on other rows.
    """
    primary = frame[frame["is_primary"]]
    if TRIAL in primary:
        primary = primary[primary[TRIAL].isna()]
    fields = [field for field in Recipe.model_fields if field in primary and field not in ("task", "seed")]

    # One group per recipe. Values are compared as text, in which a missing one equals a missing one.
    found: dict[tuple[str, str], list[SizedArm]] = {}
    if primary.empty:
        return found
    values = primary[fields].astype("object").where(primary[fields].notna(), "").astype("str")
    recipe = values.agg("\n".join, axis=1)
    training = values.drop(columns=[field for field in AFTER_TRAINING if field in values]).agg("\n".join, axis=1)
    for key, rows in primary.groupby(["task", "split", "metric", recipe], sort=False):
        task, split, metric, _ = map(str, key)
        runs = rows.drop_duplicates("run_id").sort_values("seed", kind="stable")
        static = runs[STATIC].iloc[0] if STATIC in runs else None
        found.setdefault((task, split), []).append(
            SizedArm(
                study=str(rows["study"].iloc[0]),
                arm=str(rows["arm"].iloc[0]),
                task=task,
                split=split,
                metric=metric,
                score=float(runs["value"].mean()),
                low=float(runs["value"].min()),
                high=float(runs["value"].max()),
                size_bytes=int(runs["size_bytes"].max()),
                static=bool(pd.notna(static)),
                training=str(training[rows.index[0]]),
                runs=dict(zip(runs["seed"].astype(int), runs["run_id"].astype(str), strict=True)),
            )
        )
    return found


def competing(arms: Sequence[SizedArm]) -> list[SizedArm]:
    """Return the arms that may be chosen on a task: those with at least ``MIN_SEEDS`` seeds, where any has as many.

    One lucky seed must not beat a mean of several. A static table has no seeds, so its one run is enough.
    """
    enough = [arm for arm in arms if arm.static or arm.seeds >= MIN_SEEDS]
    return enough if any(not arm.static for arm in enough) else list(arms)


def fitting(arms: Sequence[SizedArm], budget_mb: float) -> list[SizedArm]:
    """Return the arms whose file has at most this many MB of 10^6 bytes."""
    return [arm for arm in arms if arm.size_bytes <= round(budget_mb * 1e6)]


def best_of(arms: Sequence[SizedArm]) -> SizedArm | None:
    """Return the arm with the highest score; of equal ones the smallest file, then the first; None without arms."""
    return min(arms, key=lambda arm: (-round(arm.score, _ROUNDING), arm.size_bytes), default=None)
