"""Estimates how much a training computes, so that a timed one gives the cost of another. Imports no torch.

The unit is a pass of tokens through a layer. A training step sends each row of its batch forward through the teacher,
if it has one (1 pass per layer), and forward and backward through the student (3 passes per layer). The feed-forward
part counts as two thirds of a layer, its share of the weights. Only trainings of the same model, device and kind are
compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xtc_study.chain import Step
from xtc_study.share import Share
from xtc_study.tasks.catalogue import find_task

SIMILAR = 2.0
"""Trainings whose lengths or batches differ by more than this factor are not compared."""


def share_of_depth(layers: int | str | Sequence[int] | None, depth: int | None, of: float = 1.0) -> float | None:
    """Return a recipe's ``layers`` as a share of the encoder's depth.

    Args:
        layers: as in a recipe.
        depth: the encoder's number of layers; None if it is not known.
        of: the share of the encoder that a share such as ``1/2`` refers to.

    Returns:
        None for a number of layers if the depth is not known.
    """
    if layers is None:
        return of
    if isinstance(layers, str):
        return Share.parse(layers).times(of)
    if depth is None:
        return None
    return (layers if isinstance(layers, int) else len(layers)) / depth


def kind_of(phase: str, terms: Sequence[str]) -> str:
    """Return one of ``step_times.KINDS``; a student that learns from labels alone counts as a teacher."""
    kind = {"teacher": "teacher", "quantise": "quantise"}.get(phase, "distil")
    return "teacher" if kind == "distil" and tuple(terms) == ("labels",) else kind


def rows_trained_on(rows: int | None, root: Mapping[str, Any]) -> int | None:
    """Return how many of a task's training rows a chain trains on: all of them, but for those a trial holds out.

    Args:
        rows: training rows of the task; None: not known.
        root: ``params`` of the chain's teacher.
    """
    if rows is None or root.get("holdout") is None:
        return rows
    return rows - Share.parse(root["holdout"]).of(rows)


@dataclass(frozen=True)
class Work:
    """What one training of a chain computes."""

    model: str
    kind: str
    task: str
    epochs: float
    rows: int | None
    """Rows of the task's training text; None if not known before it is read."""
    length: int
    """Tokens per row of an average batch."""
    batch_size: int
    passes: float | None
    """Passes per row, in units of the whole encoder; None if not known."""
    shape: tuple[Any, ...]
    """The recipe fields that ``passes`` depends on."""

    def times(self, other: Work) -> float | None:
        """Return this work as a multiple of another; None where they cannot be compared."""
        if (self.model, self.kind) != (other.model, other.kind) or not other.epochs:
            return None
        ratio = self.epochs / other.epochs
        if self.rows and other.rows:
            ratio *= self.rows / other.rows  # of one task too: a trial holds rows out
        elif self.task != other.task:
            return None
        for own, theirs in ((self.length, other.length), (self.batch_size, other.batch_size)):
            if not 1 / SIMILAR <= own / theirs <= SIMILAR:
                return None
        ratio *= self.length / other.length
        if self.shape == other.shape:
            return ratio
        return None if not self.passes or not other.passes else ratio * self.passes / other.passes


def work_of_step(step: Step, depths: Mapping[str, int], task_files: Sequence[Path] = ()) -> Work:
    """Return the work of a step that may not be trained yet.

    Args:
        step: of a chain.
        depths: number of layers by encoder, where known.
        task_files: descriptions of the user's own data sets.
    """
    root = step
    while root.parent is not None:
        root = root.parent
    depth = depths.get(str(root.params["model"]))
    epochs = step.epochs / step.part[1]
    return _work(step.phase, step.terms, epochs, step.params, root.params, step.task, depth, task_files)


def work_of_record(
    record: Mapping[str, Any],
    records: Mapping[str, Mapping[str, Any]],
    depths: Mapping[str, int],
    task_files: Sequence[Path] = (),
) -> Work | None:
    """Return the work of a trained step; None where its record, or its teacher's, lacks a field.

    Args:
        record: step.json of the step.
        records: step.json of all steps, by address.
        depths: as for ``work_of_step``.
        task_files: as for ``work_of_step``.
    """
    root = record
    try:
        while root["parent"] is not None:
            root = records[root["parent"]]
        rows = record.get("size", {}).get("rows")
        return _work(
            record["phase"],
            record["terms"],
            float(record["epochs"]),
            record["params"],
            root["params"],
            record["task"],
            depths.get(str(root["params"]["model"])),
            task_files,
            rows,
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _work(
    phase: str,
    terms: Sequence[str],
    epochs: float,
    params: Mapping[str, Any],
    root: Mapping[str, Any],
    task_name: str,
    depth: int | None,
    task_files: Sequence[Path],
    rows: int | None = None,
) -> Work:
    try:
        task = find_task(task_name, task_files)
        rows, typical = rows or rows_trained_on(task.train_rows, root), task.typical_length
    except ValueError:  # the user's own data, described in another command
        typical = None

    kind = kind_of(phase, terms)
    shape = (root.get("teacher_layers"), params.get("layers"), params.get("ffn"), tuple(terms) == ("labels",))
    return Work(
        model=str(root["model"]),
        kind=kind,
        task=task_name,
        epochs=epochs,
        rows=rows,
        length=min(typical or int(root["max_length"]), int(root["max_length"])),
        batch_size=int(root["batch_size"]),
        passes=_passes(phase, terms, params, root, depth),
        shape=shape,
    )


def _passes(
    phase: str, terms: Sequence[str], params: Mapping[str, Any], root: Mapping[str, Any], depth: int | None
) -> float | None:
    deep = share_of_depth(root.get("teacher_layers"), depth)
    if deep is None:
        return None
    if phase == "teacher":
        return 3 * deep
    own, wide = share_of_depth(params.get("layers"), depth, deep), share_of_depth(params.get("ffn"), None)
    if own is None or wide is None:
        return None
    teacher_pass = 0.0 if tuple(terms) == ("labels",) else deep
    return teacher_pass + 3 * own * (1 + 2 * wide) / 3
