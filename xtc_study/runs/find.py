"""Finds a done run in a results folder: by its id, or the best one whose file is small enough. Imports no torch."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, variance
from typing import Any

from xtc_study.model_folder import WEIGHTS
from xtc_study.nearest import nearest
from xtc_study.recipe import Recipe
from xtc_study.runs.records import state_of
from xtc_study.tasks.metric_names import in_words

SHOWN = 3
"""Maximum number of ids that a message about a mistyped id suggests."""


class FindError(ValueError):
    """No such run. The message names the folder, and similar runs or how many are there."""


@dataclass(frozen=True)
class DoneRun:
    """A run that is done, with its recipe and metrics."""

    path: Path
    recipe: Recipe
    metrics: dict[str, Any]

    @property
    def model(self) -> Path:
        return self.path / "model"

    @property
    def bytes(self) -> int:
        """Bytes of its weight file on disk."""
        return (self.model / WEIGHTS).stat().st_size

    @property
    def primary_metric(self) -> str:
        """The first stored metric. The task is not loaded, since its data may be on another machine."""
        return str(self.metrics["rows"][0]["metric"])

    @property
    def score(self) -> float:
        """The primary metric, as a mean over dev splits."""
        values = [float(row["value"]) for row in self.metrics["rows"] if row["metric"] == self.primary_metric]
        return fmean(values)


def find_run(results: Path, run_id: str) -> DoneRun:
    """Return the done run of an id.

    Raises:
        FindError: not a run id, or no done run of that id with its model.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", run_id):
        raise FindError(f"run {run_id!r}: expected a run id such as toy-inference-all-w1a8-s1-seed0-0123456789")
    folder = results / "runs" / run_id
    run = _read(folder)
    if run is not None:
        return run
    state, why = state_of(folder)
    if state == "done":
        raise FindError(f"run {run_id!r}: done, but {folder / 'model'} is missing or cannot be read")
    if state != "missing":
        why = f": {why.removeprefix(f'{run_id}/')}" if why else ""
        raise FindError(f"run {run_id!r}: {state}, not done, in {results / 'runs'}{why}")
    known = [done.path.name for done in done_runs(results)]
    near = nearest(run_id, known, SHOWN)
    some = f"; did you mean {' or '.join(near)}?" if near else f", which has {len(known)} done" if known else ""
    raise FindError(f"run {run_id!r}: not in {results / 'runs'}{some}")


@dataclass(frozen=True)
class Choice:
    """The run that was chosen among others, and why."""

    run: DoneRun
    best: DoneRun
    """The run with the highest score; often the same one."""
    noise: float
    """Standard deviation of a score over seeds; 0 where no recipe was run with two seeds."""
    among: int
    """Number of runs it was chosen from."""

    @property
    def reason(self) -> str:
        among = f"chosen from {self.among}: {_score_text(self.run)}"
        if self.run is self.best:
            return f"{among}; the best score"
        return (
            f"{among}; the smallest file within {100 * self.noise:.2f} points, one standard deviation over seeds, of "
            f"the best ({_score_text(self.best)})"
        )


def best_run(results: Path, max_bytes: int | None = None, task: str | None = None) -> Choice:
    """Choose the run to export among the done runs of a task; trials, which hold rows out, do not count.

    With ``max_bytes`` it is the best score among the files that fit; of equal scores, the smaller file. Without, it is
    the smallest file whose score is within one standard deviation over seeds of the best, since a lead smaller than
    what another seed changes does not make a larger file better.

    Args:
        results: the results folder.
        max_bytes: the largest file allowed; None: any size.
        task: its name; None: the only task that has runs.

    Raises:
        FindError: no such run, or runs of several tasks, whose scores cannot be compared.
    """
    runs = [run for run in done_runs(results) if task in (None, run.recipe.task) and run.recipe.holdout is None]
    if not runs:
        raise FindError(f"no done run{f' of task {task!r}' if task else ''} in {results / 'runs'}")
    tasks = sorted({run.recipe.task for run in runs})
    if len(tasks) > 1:
        raise FindError(f"the done runs are of {len(tasks)} tasks ({', '.join(tasks)}); choose one with --task")
    fitting = [run for run in runs if max_bytes is None or run.bytes <= max_bytes]
    if not fitting:
        smallest = min(run.bytes for run in runs)
        raise FindError(f"no file of at most {max_bytes:,} bytes; the smallest has {smallest:,}")
    best = max(fitting, key=lambda run: (run.score, -run.bytes))
    noise = 0.0 if max_bytes is not None else seed_noise(fitting)
    near = [run for run in fitting if run.score >= best.score - noise]
    chosen = best if max_bytes is not None else min(near, key=lambda run: (run.bytes, -run.score))
    return Choice(chosen, best, noise, len(fitting))


def seed_noise(runs: Sequence[DoneRun]) -> float:
    """Return the standard deviation of a score over seeds, pooled over recipes with two or more seeds; else 0."""
    groups: dict[str, list[float]] = {}
    for run in runs:
        groups.setdefault(run.recipe.model_copy(update={"seed": 0}).run_id, []).append(run.score)
    several = [scores for scores in groups.values() if len(scores) > 1]
    freedom = sum(len(scores) - 1 for scores in several)
    squares: float = sum(variance(scores) * (len(scores) - 1) for scores in several)
    return (squares / freedom) ** 0.5 if freedom else 0.0


def done_runs(results: Path) -> list[DoneRun]:
    """Return every done run (``records.state_of``) that has its model, sorted by id."""
    runs = (_read(path) for path in sorted((results / "runs").glob("*/")))
    return [run for run in runs if run is not None]


def _read(path: Path) -> DoneRun | None:
    if state_of(path).state != "done":
        return None
    try:
        params, metrics = (json.loads((path / f"{name}.json").read_text("utf-8")) for name in ("params", "metrics"))
        run = DoneRun(path, Recipe.of(**params["recipe"]), metrics)
        return run if run.bytes and metrics["rows"] else None
    except (OSError, ValueError, KeyError, TypeError):  # no model, or a recipe of another version
        return None


def _score_text(run: DoneRun) -> str:
    return f"{run.path.name}, {in_words(run.primary_metric)} {run.score:.4f}, {run.bytes / 1e6:,.3f} MB"
