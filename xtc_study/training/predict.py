"""Compute a model's logits on a data set, always in fp32, in the order of its rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from xtc_study.tasks.metrics import score
from xtc_study.tasks.task import Task

Logits = npt.NDArray[np.float32]

BATCH_SIZE = 64


def predict(model: Any, rows: Any, padding: Any) -> Logits:
    """Return logits, (rows, outputs). Batches contain rows of similar length; the model's mode is restored.

    Args:
        model: a classifier.
        rows: encoded rows.
        padding: collates rows into a batch.
    """

    def batch_of(chosen: list[int]) -> dict[str, Any]:
        batch: dict[str, Any] = padding(rows.__getitems__(chosen))  # in one query, as torch's DataLoader does
        batch.pop("labels")
        return batch

    return in_batches(model, rows["length"][:], batch_of)


def in_batches(model: Any, lengths: Sequence[int], batch_of: Callable[[list[int]], dict[str, Any]]) -> Logits:
    """Return logits, (rows, outputs), in the order of the rows. Batches depend only on the lengths.

    Args:
        model: a classifier; its mode is restored.
        lengths: tokens of each row.
        batch_of: maps row numbers to the model's inputs.
    """
    # Sort by length, so that little of a batch is padding.
    order = np.argsort(np.asarray(lengths), kind="stable")
    was_training = model.training
    model.eval()
    device = next(iter(model.state_dict().values())).device
    parts = []
    try:
        with torch.inference_mode():
            for start in range(0, len(order), BATCH_SIZE):
                batch = batch_of([int(row) for row in order[start : start + BATCH_SIZE]])
                inputs = {name: tensor.to(device) for name, tensor in batch.items()}
                parts.append(model(**inputs).logits.float().cpu().numpy())
    finally:
        model.train(was_training)

    logits = np.concatenate(parts)
    in_row_order = np.empty_like(logits)
    in_row_order[order] = logits
    return in_row_order


def decide(logits: Logits, task: Task) -> npt.NDArray[np.float64]:
    """Return each row's prediction, (rows,) float64: the class id, or the output itself for a regression.

    Args:
        logits: (rows, outputs).
        task: a classification or a regression.
    """
    values = logits[:, 0] if task.is_regression else logits.argmax(-1)
    return values.astype(np.float64)


def scores(model: Any, splits: dict[str, Any], padding: Any, task: Task) -> dict[str, dict[str, float]]:
    """Return {split: {metric: value}} of a model on encoded splits.

    Args:
        model: a classifier.
        splits: encoded rows by split.
        padding: collates rows into a batch.
        task: names the metrics.
    """
    result = {}
    for split, rows in splits.items():
        predictions = decide(predict(model, rows, padding), task)
        labels = np.asarray(rows["labels"][:], dtype=np.float64)
        result[split] = {metric: score(metric, labels, predictions) for metric in task.metrics}
    return result
