"""Which values the trials of an arm chose. A choice depends only on finished trials, so that machines agree on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from xtc_study.runs.records import Metrics, error_type, read_record, state_of
from xtc_study.studies import PlannedRun
from xtc_study.tasks.metric_names import higher_is_better
from xtc_study.trials import TunedArm
from xtc_study.tuning import Values, distance, values_text

DIVERGED = FloatingPointError.__name__
"""The error of a training whose loss is infinite or no number (``training.stage``)."""


@dataclass(frozen=True)
class Choice:
    """The values tried for one arm on one task, their scores, and the one chosen."""

    task: str
    arm: str
    grid: tuple[Values, ...]
    scores: tuple[float | None, ...]
    """Of each point, the primary metric on the held-out rows, a mean over seeds; None until its trials are done, and
    where one of them diverged."""
    diverged: tuple[bool, ...]
    """Whether a trial of the point diverged, so that it cannot be chosen."""
    metric: str
    """The primary metric; empty until a trial is done."""
    chosen: Values | None
    """The point with the best score; None until every trial has ended, and if all diverged. Of equal scores, the point
    nearest to the arm's own values, then the smaller one."""

    @property
    def edges(self) -> Mapping[str, str]:
        """By field: ``largest`` or ``smallest`` where the chosen value is at the end of those tried."""
        edges = {}
        for field, value in (self.chosen or {}).items():
            tried = {point[field] for point in self.grid}
            if len(tried) > 1 and value in (min(tried), max(tried)):
                edges[field] = "largest" if value == max(tried) else "smallest"
        return edges

    @property
    def text(self) -> str:
        """``5e-4, the largest tried``; ``to be chosen`` while a trial is missing."""
        if self.chosen is None:
            return "none: every value diverged" if all(self.diverged) else "to be chosen"
        if len(self.chosen) == 1:
            return values_text(self.chosen) + "".join(f", the {edge} tried" for edge in self.edges.values())
        marks = [f"{field} is the {edge} tried" for field, edge in self.edges.items()]
        return values_text(self.chosen) + (f" ({'; '.join(marks)})" if marks else "")


def choose(tuned: TunedArm, runs_folder: Path) -> Choice:
    """Read the ended trials of an arm on a task, and choose if all of them ended.

    A trial that diverged has ended too: its value is one that the arm cannot be trained with. A trial that failed for
    another reason, such as a full disk, has not.

    Args:
        tuned: the arm and its trials.
        runs_folder: where the folders of the runs are.
    """
    results = [[_result(runs_folder, trial) for trial in trials] for trials in tuned.trials]
    metric = next((found[0] for of_point in results for found in of_point if found), "")
    scores = [fmean(found[1] for found in of_point if found) if all(of_point) else None for of_point in results]
    lost = [any(diverged(runs_folder, trial) for trial in trials) for trials in tuned.trials]

    scored = [(score, point) for score, point in zip(scores, tuned.grid, strict=True) if score is not None]
    chosen = None
    if scored and len(scored) + sum(lost) == len(tuned.grid):
        sign = -1 if higher_is_better(metric) else 1
        _, chosen = min(scored, key=lambda one: (sign * one[0], distance(one[1], tuned.own), tuple(one[1].values())))
    return Choice(tuned.task, tuned.arm, tuned.grid, tuple(scores), tuple(lost), metric, chosen)


def diverged(runs_folder: Path, trial: PlannedRun) -> bool:
    """Return whether a trial failed because its loss became infinite or no number; trying it again would not help."""
    folder = runs_folder / trial.run_id
    return state_of(folder).state == "failed" and error_type(folder) == DIVERGED


def _result(runs_folder: Path, trial: PlannedRun) -> tuple[str, float] | None:
    """Return the primary metric of a trial and its value; None if the trial is not done."""
    folder = runs_folder / trial.run_id
    if state_of(folder).state != "done":
        return None
    rows = read_record(folder, "metrics.json", Metrics).rows
    return (rows[0].metric, rows[0].value) if rows else None
