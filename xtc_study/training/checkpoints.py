"""Checkpoints of one training: saved by the clock, and the newest complete one found again."""

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
"""How often a training saves itself, so that a killed one can resume."""

SO_FAR = "so_far.json"
"""A checkpoint's ``History``, and the loss sums since its last point of the curve; written last."""

CurvePoint = dict[str, Any]
"""step, term, value: a mean since the point before for loss terms, the value itself for the rest."""


class History(NamedTuple):
    """The curve and the time of a training, or of its part so far."""

    curve: list[CurvePoint]
    seconds: float
    """Spent training. Of a killed one, up to its last checkpoint."""


class Checkpoint(NamedTuple):
    """Where an interrupted training resumes."""

    path: str | None
    """None: at its start."""
    history: History
    sums: dict[str, float]
    """Of each loss term, since the curve's last point."""
    counted: int
    """Steps in these sums."""


def last_checkpoint(folder: Path) -> Checkpoint:
    """The newest complete checkpoint of a training; incomplete ones, without ``SO_FAR``, are removed.

    One of an earlier version has no sums.
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
    """Marks the checkpoint that was just written at ``step`` as complete, and removes older ones.

    Args:
        folder: of the training's checkpoints.
        step: the optimiser step it was written at.
        history: the training so far.
        sums: of each loss term, since the curve's last point.
        counted: steps in these sums.
    """
    newest = folder / f"checkpoint-{step}"

    # Written last and renamed into place: a checkpoint that has this file is complete.
    write_file(newest / SO_FAR, json.dumps({**history._asdict(), "sums": dict(sums), "counted": counted}))

    for older in folder.glob("checkpoint-*"):
        if older != newest:
            shutil.rmtree(older, ignore_errors=True)


class SaveByTheClock(TrainerCallback):
    """Asks the Trainer to save itself every CHECKPOINT_SECONDS."""

    def __init__(self) -> None:
        self.last = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if time.monotonic() - self.last >= CHECKPOINT_SECONDS and state.global_step < state.max_steps:
            control.should_save = True
            self.last = time.monotonic()
