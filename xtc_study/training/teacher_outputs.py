"""A teacher's outputs for each training row, computed once and kept in memory if they fit.

A frozen teacher gives the same outputs in every epoch; its pass is about a fifth of a student's step on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from xtc_study.compress.distillation.losses import ATTENTION, HIDDEN
from xtc_study.hardware import physical_memory
from xtc_study.tasks.batches import ROW
from xtc_study.training.precision import Precision

LARGEST = 2 * 2**30
"""Maximum bytes kept; never more than an eighth of the machine's memory, because other trainings may run beside."""
BATCH_SIZE = 64


class _Row(NamedTuple):
    """The outputs for one row of n tokens."""

    hidden: Tensor
    """(states, n, width)"""
    scores: Tensor
    """(layers, heads, n, n)"""
    logits: Tensor
    """(outputs,)"""


class TeacherOutputs:
    """A teacher's outputs for every row, as far as the loss terms need them.

    Args:
        teacher: in evaluation mode.
        rows: encoded rows; row i is batch entry ``row`` = i.
        padding: collates rows into a batch.
        terms: the loss terms.
        layers: numbers of the teacher's layers whose attention scores are used.
        states: numbers of its hidden states that are used.
        precision: precision of the teacher's forward pass.
    """

    def __init__(
        self,
        teacher: Any,
        rows: Any,
        padding: Callable[..., dict[str, Tensor]],
        terms: Sequence[str],
        layers: Sequence[int],
        states: Sequence[int],
        precision: Precision,
    ) -> None:
        self.layers = sorted(set(layers)) if ATTENTION in terms else []
        self.states = sorted(set(states)) if HIDDEN in terms else []
        self.rows: list[_Row] = [None] * len(rows)  # type: ignore[list-item]
        want = {"output_attentions": bool(self.layers), "output_hidden_states": bool(self.states)}

        # Batches contain rows of similar length, so that little of them is padding.
        lengths = np.asarray(rows["length"][:])
        order = np.argsort(lengths, kind="stable")
        for start in range(0, len(order), BATCH_SIZE):
            numbers = [int(number) for number in order[start : start + BATCH_SIZE]]
            batch = padding(rows.__getitems__(numbers))
            inputs = {name: value.to(precision.device) for name, value in batch.items() if name not in ("labels", ROW)}
            with torch.no_grad(), precision.autocast():
                outputs = teacher(**inputs, **want)
            hidden = _stacked([outputs.hidden_states[state] for state in self.states])
            scores = _stacked([outputs.attentions[layer] for layer in self.layers])
            for place, (number, real) in enumerate(zip(numbers, _real(inputs["attention_mask"]), strict=True)):
                self.rows[number] = _Row(
                    hidden[:, place, real].clone(),
                    scores[:, place, :, real, real].clone(),
                    outputs.logits[place].clone(),
                )

    def of(self, numbers: Sequence[int], mask: Tensor) -> Any:
        """Return the outputs of these rows as one batch.

        ``logits``, and ``hidden_states`` and ``attentions`` by their number in the teacher; zero where ``mask`` is.

        Args:
            numbers: the rows' numbers.
            mask: the batch's attention mask, (batch, positions).
        """
        rows = [self.rows[number] for number in numbers]
        positions, width, heads = mask.shape[1], rows[0].hidden.shape[-1], rows[0].scores.shape[1]
        hidden = rows[0].hidden.new_zeros(len(self.states), len(rows), positions, width)
        scores = rows[0].scores.new_zeros(len(self.layers), len(rows), heads, positions, positions)
        for place, (row, real) in enumerate(zip(rows, _real(mask), strict=True)):
            if self.states:
                hidden[:, place, real] = row.hidden
            if self.layers:
                scores[:, place, :, real, real] = row.scores
        return SimpleNamespace(
            logits=torch.stack([row.logits for row in rows]),
            hidden_states=dict(zip(self.states, hidden, strict=True)),
            attentions=dict(zip(self.layers, scores, strict=True)),
        )


def _stacked(outputs: list[Tensor]) -> Tensor:
    return torch.stack(outputs) if outputs else torch.zeros(0, BATCH_SIZE, 0, 0, 0)


def _real(mask: Tensor) -> list[slice]:
    """Return the positions of each row's tokens; padding is on one side of them."""
    starts, counts = mask.argmax(1).tolist(), mask.sum(1).tolist()
    return [slice(start, start + count) for start, count in zip(starts, counts, strict=True)]


def bytes_needed(
    teacher: Any, lengths: Sequence[int], terms: Sequence[str], layers: Sequence[int], states: Sequence[int]
) -> int:
    """Return the bytes that ``TeacherOutputs`` would keep in float32.

    Args:
        teacher: gives the widths.
        lengths: tokens of each row.
        terms: as for ``TeacherOutputs``.
        layers: as for ``TeacherOutputs``.
        states: as for ``TeacherOutputs``.
    """
    tokens = np.asarray(lengths, dtype=np.int64)
    config = teacher.config
    hidden = len(set(states)) * config.hidden_size * int(tokens.sum()) if HIDDEN in terms else 0
    scores = len(set(layers)) * config.num_attention_heads * int((tokens**2).sum()) if ATTENTION in terms else 0
    return int(4 * (hidden + scores + len(tokens) * config.num_labels))


def memory_limit() -> int:
    """Return how many bytes of its teacher's outputs a training may keep."""
    return min(LARGEST, physical_memory() // 8)
