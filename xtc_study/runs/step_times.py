"""Stores how long a model's training steps take on this machine, and estimates trainings from it.

``training/measure_steps.py`` takes the measurement. Imports no torch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from xtc_study.canonical import digest
from xtc_study.chain import Step
from xtc_study.runs.store import write_json
from xtc_study.runs.training_work import kind_of, rows_trained_on, share_of_depth
from xtc_study.tasks.catalogue import find_task

KINDS = ("forward", "teacher", "distil", "quantise")
"""The teacher's forward pass; a step on labels; a distillation step of a full-precision student; of a 1-bit one."""


class StepTime(BaseModel):
    """The time of one kind of step at one input length."""

    model_config = ConfigDict(frozen=True)

    kind: str
    length: int
    """Tokens per row of the batch, including padding."""
    seconds: float
    """Median time of a step."""


class StepTimes(BaseModel):
    """Measured steps of one model on one device."""

    model_config = ConfigDict(frozen=True)

    model: str
    depth: int
    batch_size: int
    device: str
    """Name of the hardware: ``NVIDIA H100``."""
    precision: str
    peak_bytes: int | None = None
    """Peak memory of the longest 1-bit step, including teacher and optimiser: of the GPU, or of the process on a CPU.
    None where it cannot be measured."""
    card_bytes: int | None = None
    """Memory of the GPU; None without one, and in measurements of earlier versions."""
    points: list[StepTime]

    def seconds(self, step: Step, task_files: Sequence[Path] = ()) -> float | None:
        """Estimate the training time of a step of a chain; None where the task's size is not known.

        The time of an optimiser step is assumed to be linear in the tokens of its batch, and the student's part of it
        proportional to its depth. The feed-forward part is assumed to take two thirds of a layer's time, its share of
        the weights.
        """
        root = step
        while root.parent is not None:
            root = root.parent

        # The number of optimiser steps, and the tokens of a batch.
        task, batch_size = find_task(step.task, task_files), int(root.params["batch_size"])
        rows = rows_trained_on(task.train_rows, root.params)
        if rows is None:
            return None
        length = min(task.typical_length or root.params["max_length"], root.params["max_length"])
        steps = step.optimiser_steps(-(-rows // batch_size))
        tokens = batch_size * length

        # Measured times of the encoder at its full depth and width.
        kind = kind_of(step.phase, step.terms)
        whole, forward = self._at(kind, tokens), self._at("forward", tokens)

        # The shares of the encoder that this teacher and this student keep.
        deep = self._share(root.params.get("teacher_layers"))
        share = deep
        if step.phase != "teacher":
            share = self._share(step.params.get("layers"), deep) * (1 + 2 * self._share(step.params.get("ffn"))) / 3

        if kind == "teacher":
            return steps * whole * share
        teacher_pass = 0.0 if step.terms == ("labels",) else forward * deep  # labels alone need no teacher
        return steps * (teacher_pass + (whole - forward) * share)

    def _at(self, kind: str, tokens: float) -> float:
        """Return the seconds of a kind of step for this many tokens, on the line through the measured ends."""
        points = sorted((self.batch_size * point.length, point.seconds) for point in self.points if point.kind == kind)
        (x0, y0), (x1, y1) = points[0], points[-1]
        slope = (y1 - y0) / (x1 - x0) if x1 > x0 else y0 / x0
        return max(y0 + slope * (tokens - x0), 0.0)

    def _share(self, layers: int | str | Sequence[int] | None, of: float = 1.0) -> float:
        share = share_of_depth(layers, self.depth, of)
        assert share is not None
        return share


def step_times_file(results: Path, model: str) -> Path:
    """Return the file of a model's measurement. Its name is a hash, since a model's name may hold any character."""
    return results / f"step_times-{digest({'model': model})}.json"


def write_step_times(results: Path, times: StepTimes) -> Path:
    results.mkdir(parents=True, exist_ok=True)
    path = step_times_file(results, times.model)
    write_json(path, times.model_dump(mode="json"))
    return path


def read_step_times(results: Path, model: str) -> StepTimes | None:
    """Read a model's measurement; None if it is missing, incomplete or cannot be read."""
    try:
        content: Any = json.loads(step_times_file(results, model).read_text(encoding="utf-8"))
        times = StepTimes(**content)
    except (OSError, ValueError, TypeError, ValidationError):
        return None
    return times if {point.kind for point in times.points} >= set(KINDS) else None
