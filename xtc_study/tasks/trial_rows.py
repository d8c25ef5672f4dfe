"""The rows of a trial: a part of the training rows is held out and scored in place of the dev rows.

A trial serves to choose a value such as the learning rate. Its score decides, so the rows it is scored on must not be
those that a finished model is reported on: the dev rows are not read at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xtc_study.share import Share
from xtc_study.tasks.catalogue import load_task
from xtc_study.tasks.task import DataError, Task
from xtc_study.tasks.user.held_out import held_out_rows

if TYPE_CHECKING:
    from datasets import DatasetDict

SPLIT = "held-out"
"""The one evaluation split of a trial. No task has a split of this name, so that no table can mistake it for dev."""
SEED = 0
"""Which rows are held out: the same for every seed of a run, every arm and every machine."""


def trial_rows(
    task: Task, holdout: str, data_dir: Path | None = None, files: Sequence[Path] = ()
) -> tuple[Task, DatasetDict]:
    """Return the task of a trial, whose one evaluation split is ``held-out``, and its text. Dev rows are not read.

    Args:
        task: as in the catalogue.
        holdout: the share of the training rows to hold out, such as ``1/5``.
        data_dir: as for ``catalogue.load_task``.
        files: as for ``catalogue.load_task``.

    Raises:
        DataError: missing or malformed data, or too few rows to hold any out.
    """
    text = hold_out(task, load_task(task.name, data_dir, files, train_only=True), holdout)
    return replace(task, eval_splits=(SPLIT,)), text


def hold_out(task: Task, text: DatasetDict, holdout: str) -> DatasetDict:
    """Split the training rows in two: ``train`` and ``held-out``. Rows keep their ``idx``.

    Rows with the same text stay together, and every class keeps its share (``tasks.user.held_out``).

    Args:
        task: names the text fields, and says whether labels are classes.
        text: with a split ``train``; others are left out.
        holdout: the share to hold out, such as ``1/5``.

    Raises:
        DataError: one of the parts would have no row.
    """
    from datasets import DatasetDict

    train = text["train"]
    # The seed is hashed together with the text, so that another seed gives another order of texts.
    columns = [[f"trial {SEED}"] * len(train), *(train[field][:] for field in task.text_fields)]
    labels = None if task.is_regression else train["label"][:]
    held = held_out_rows(list(zip(*columns, strict=True)), labels, Share.parse(holdout).times(1))
    if all(held) or not any(held):
        raise DataError(
            f"holdout={holdout!r}: of {len(train)} training rows of task {task.name!r}, none would be left to "
            f"{'train' if all(held) else 'score'} on; choose another share, or do not tune on this task (--tune none)"
        )
    rows = range(len(train))
    return DatasetDict(
        {
            "train": train.select([row for row in rows if not held[row]]),
            SPLIT: train.select([row for row in rows if held[row]]),
        }
    )


def held_out_record(holdout: str | None, text: DatasetDict) -> dict[str, Any] | None:
    """Return what metrics.json records of a trial's rows: share, seed and number of rows; None: no trial."""
    if holdout is None:
        return None
    return {"share": holdout, "seed": SEED, "rows": len(text[SPLIT]), "train_rows": len(text["train"])}
