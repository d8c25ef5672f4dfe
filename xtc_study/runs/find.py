"""Finds a done run in a results folder: by its id, or the best whose file is small enough. Imports no torch."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xtc_study.recipe import Recipe

WEIGHTS = "model.safetensors"


class FindError(ValueError):
    """No such run. The message says where it was looked for, and what is there."""


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
        """Length of its weight file, on disk."""
        return (self.model / WEIGHTS).stat().st_size

    @property
    def primary_metric(self) -> str:
        """The first one stored, so that a run can be found where the data it was trained on are not."""
        return str(self.metrics["rows"][0]["metric"])

    @property
    def score(self) -> float:
        """The task's primary metric, the mean of its dev splits."""
        values = [float(row["value"]) for row in self.metrics["rows"] if row["metric"] == self.primary_metric]
        return sum(values) / len(values)


def find_run(results: Path, run_id: str) -> DoneRun:
    """The done run of that id.

    Raises:
        FindError: not the form of a run id, or no done run of that id.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", run_id):
        raise FindError(f"run {run_id!r}: expected a run id, say toy-inference-all-w1a8-s1-seed0-0123456789")
    run = _read(results / "runs" / run_id)
    if run is None:
        known = [done.path.name for done in done_runs(results)]
        raise FindError(f"run {run_id!r}: not done in {results / 'runs'}; done are {', '.join(known[:8]) or 'none'}")
    return run


def best_run(results: Path, max_bytes: int | None = None, task: str | None = None) -> DoneRun:
    """The done run with the best score among those of the task whose file fits; of equals, the smaller file.

    Raises:
        FindError: there is none, or runs of several tasks, whose scores cannot be compared.
    """
    runs = [run for run in done_runs(results) if task in (None, run.recipe.task)]
    if not runs:
        raise FindError(f"no done run{f' of task {task!r}' if task else ''} in {results / 'runs'}")
    tasks = sorted({run.recipe.task for run in runs})
    if len(tasks) > 1:
        raise FindError(f"done runs are of {len(tasks)} tasks ({', '.join(tasks)}); choose one with --task")
    fitting = [run for run in runs if max_bytes is None or run.bytes <= max_bytes]
    if not fitting:
        smallest = min(run.bytes for run in runs)
        raise FindError(f"no file of at most {max_bytes:,} bytes; the smallest has {smallest:,}")
    return max(fitting, key=lambda run: (run.score, -run.bytes))


def done_runs(results: Path) -> list[DoneRun]:
    """Every done run that has a model, by id."""
    runs = (_read(path) for path in sorted((results / "runs").glob("*/")))
    return [run for run in runs if run is not None]


def _read(path: Path) -> DoneRun | None:
    try:
        status, params, metrics = (
            json.loads((path / f"{name}.json").read_text(encoding="utf-8")) for name in ("status", "params", "metrics")
        )
        run = DoneRun(path, Recipe.of(**params["recipe"]), metrics)
        done = status["state"] == "done" and run.bytes > 0 and math.isfinite(run.score)
    except (OSError, ValueError, KeyError, TypeError, IndexError, ZeroDivisionError):
        return None
    return run if done else None
