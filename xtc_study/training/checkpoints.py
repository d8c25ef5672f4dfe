"""Checkpoints of one training: saved at time intervals; the newest complete one is used to resume."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from transformers import TrainerCallback

from xtc_study.atomic import write_file

CHECKPOINT_SECONDS = 60.0
"""Interval between checkpoints, from which a killed training resumes."""

SO_FAR = "so_far.json"
"""File of a checkpoint with its ``History`` and the loss sums since the last point of the curve; written last."""

CurvePoint = dict[str, Any]
"""step, term, value: for loss terms the mean since the previous point, for other terms the value itself."""


class History(NamedTuple):
    """The curve and the training time of a training so far."""

    curve: list[CurvePoint]
    seconds: float
    """Training time; that of a killed training counts up to its last checkpoint."""


class Checkpoint(NamedTuple):
    """Where an interrupted training resumes."""

    path: str | None
    """None: start from the beginning."""
    history: History
    sums: dict[str, float]
    """Sum of each loss term since the curve's last point."""
    counted: int
    """Number of steps in these sums."""


def last_checkpoint(folder: Path) -> Checkpoint:
    """Return the newest complete checkpoint of a training, and remove incomplete ones, which lack ``SO_FAR``.

    A checkpoint of an earlier version has no sums.
    """
    for path in sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]), reverse=True):
        try:
            so_far = json.loads((path / SO_FAR).read_text(encoding="utf-8"))
            sums, counted = so_far.pop("sums", {}), so_far.pop("counted", 0)
            return Checkpoint(str(path), History(**so_far), sums, counted)
        except (OSError, ValueError, TypeError, AttributeError):
            shutil.rmtree(path, ignore_errors=True)
    return Checkpoint(None, History([], 0.0), {}, 0)


def complete_checkpoint(folder: Path, step: int, history: History, sums: Mapping[str, float], counted: int) -> None:
    """Mark the checkpoint just written at ``step`` as complete, and remove older ones.

    Args:
        folder: contains the training's checkpoints.
        step: the optimiser step it was written at.
        history: the training so far.
        sums: sum of each loss term since the curve's last point.
        counted: number of steps in these sums.
    """
    newest = folder / f"checkpoint-{step}"

    # Written last and renamed into place: a checkpoint that has this file is complete.
    write_file(newest / SO_FAR, json.dumps({**history._asdict(), "sums": dict(sums), "counted": counted}))

    for older in folder.glob("checkpoint-*"):
        if older != newest:
            shutil.rmtree(older, ignore_errors=True)


class SaveByTheClock(TrainerCallback):
    """Tell the Trainer to save a checkpoint every CHECKPOINT_SECONDS."""

    def __init__(self) -> None:
        self.last = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if time.monotonic() - self.last >= CHECKPOINT_SECONDS and state.global_step < state.max_steps:
            control.should_save = True
            self.last = time.monotonic()
