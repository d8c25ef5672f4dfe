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

from xtc_study.compress.distillation.attention_tape import AttentionTape, Wanted
from xtc_study.compress.distillation.losses import HIDDEN
from xtc_study.compress.distillation.relations import OPERANDS
from xtc_study.compress.reduction.layers import hidden_state_map
from xtc_study.hardware import physical_memory
from xtc_study.tasks.batches import ROW
from xtc_study.training.objective import MAPS, RELATIONS, SCORES, Objective
from xtc_study.training.precision import Precision

LARGEST = 2 * 2**30
"""Maximum bytes kept; never more than an eighth of the machine's memory, because other trainings may run beside."""
BATCH_SIZE = 64
NOTHING = torch.zeros(0)
"""What is not kept; one tensor for all rows."""


class _Row(NamedTuple):
    """The outputs for one row of n tokens."""

    hidden: Tensor
    """(states, n, width)"""
    pairs: Tensor
    """Scores or probabilities, (layers, heads, n, n)."""
    contexts: Tensor
    """(layers, n, width)"""
    operands: Tensor
    """Queries, keys and values of one layer, (3, heads, n, width)."""
    logits: Tensor
    """(outputs,)"""


class _Kept(NamedTuple):
    """Which of the teacher's outputs an objective needs."""

    states: list[int]
    """Numbers of hidden states."""
    layers: list[int]
    """Numbers of layers whose scores, or maps and contexts, are compared."""
    kind: str | None
    relation_layer: int | None

    @classmethod
    def of(cls, objective: Objective) -> _Kept:
        states = sorted(set(hidden_state_map(objective.layers))) if HIDDEN in objective.terms else []
        kind = objective.kind
        layers = sorted(set(objective.layers)) if kind in (SCORES, MAPS) else []
        return cls(states, layers, kind, objective.relation_layers[1] if kind == RELATIONS else None)


class TeacherOutputs:
    """A teacher's outputs for every row, as far as an objective's terms need them.

    Args:
        objective: names the terms and the teacher, which is in evaluation mode.
        rows: encoded rows; row i is batch entry ``row`` = i.
        padding: collates rows into a batch.
        precision: precision of the teacher's forward pass.
    """

    def __init__(
        self, objective: Objective, rows: Any, padding: Callable[..., dict[str, Tensor]], precision: Precision
    ) -> None:
        self.kept = kept = _Kept.of(objective)
        self.rows: list[_Row] = [None] * len(rows)  # type: ignore[list-item]
        want = {"output_attentions": kept.kind == SCORES, "output_hidden_states": bool(kept.states)}
        wanted = Wanted(maps=kept.kind == MAPS, contexts=kept.kind == MAPS, operands=kept.relation_layer)

        # Batches contain rows of similar length, so that little of them is padding.
        lengths = np.asarray(rows["length"][:])
        order = np.argsort(lengths, kind="stable")
        for start in range(0, len(order), BATCH_SIZE):
            numbers = [int(number) for number in order[start : start + BATCH_SIZE]]
            batch = padding(rows.__getitems__(numbers))
            inputs = {name: value.to(precision.device) for name, value in batch.items() if name not in ("labels", ROW)}
            tape = AttentionTape(wanted)
            with torch.no_grad(), precision.autocast(), tape.recording():
                outputs = objective.teacher(**inputs, **want)

            hidden = _stacked([outputs.hidden_states[state] for state in kept.states])
            pairs = _stacked([(tape.maps or outputs.attentions)[layer] for layer in kept.layers])
            contexts = _stacked([tape.contexts[layer] for layer in kept.layers] if tape.contexts else [])
            operands = _stacked(tape.operands or ())
            for place, (number, real) in enumerate(zip(numbers, _real(inputs["attention_mask"]), strict=True)):
                self.rows[number] = _Row(
                    NOTHING if hidden is NOTHING else hidden[:, place, real].clone(),
                    NOTHING if pairs is NOTHING else pairs[:, place, :, real, real].clone(),
                    NOTHING if contexts is NOTHING else contexts[:, place, real].clone(),
                    NOTHING if operands is NOTHING else operands[:, place, :, real].clone(),
                    outputs.logits[place].clone(),
                )

    def of(self, numbers: Sequence[int], mask: Tensor) -> Any:
        """Return the outputs of these rows as one batch.

        ``logits``; ``hidden_states``, ``attentions`` or ``maps``, and ``contexts`` by their number in the teacher; and
        ``operands`` of one layer; all zero where ``mask`` is.

        Args:
            numbers: the rows' numbers.
            mask: the batch's attention mask, (batch, positions).
        """
        rows, kept, length = [self.rows[number] for number in numbers], self.kept, mask.shape[1]
        reals = _real(mask)

        def vectors(parts: list[Tensor]) -> Tensor:
            """Return a batch of (kinds, ..., n, width) as (kinds, batch, ..., positions, width)."""
            if parts[0] is NOTHING:
                return NOTHING
            kinds, *middle, _, width = parts[0].shape
            batch = parts[0].new_zeros(kinds, len(parts), *middle, length, width)
            for place, (part, real) in enumerate(zip(parts, reals, strict=True)):
                batch[:, place, ..., real, :] = part
            return batch

        pairs = rows[0].pairs
        if pairs is not NOTHING:
            pairs = pairs.new_zeros(len(pairs), len(rows), pairs.shape[1], length, length)
            for place, (row, real) in enumerate(zip(rows, reals, strict=True)):
                pairs[:, place, :, real, real] = row.pairs

        by_layer = dict(zip(kept.layers, pairs, strict=True))
        hidden, contexts, operands = (
            vectors([getattr(row, part) for row in rows]) for part in ("hidden", "contexts", "operands")
        )
        return SimpleNamespace(
            logits=torch.stack([row.logits for row in rows]),
            hidden_states=dict(zip(kept.states, hidden, strict=True)),
            attentions=by_layer if kept.kind == SCORES else {},
            maps=by_layer if kept.kind == MAPS else {},
            contexts=dict(zip(kept.layers, contexts, strict=True)) if kept.kind == MAPS else {},
            operands=tuple(operands),
        )


def _stacked(outputs: Sequence[Tensor]) -> Tensor:
    return torch.stack(tuple(outputs)) if outputs else NOTHING


def _real(mask: Tensor) -> list[slice]:
    """Return the positions of each row's tokens; padding is on one side of them."""
    starts, counts = mask.argmax(1).tolist(), mask.sum(1).tolist()
    return [slice(start, start + count) for start, count in zip(starts, counts, strict=True)]


def bytes_needed(objective: Objective, lengths: Sequence[int]) -> int:
    """Return the bytes that ``TeacherOutputs`` would keep in float32.

    Args:
        objective: names terms, layers and the teacher, which gives the widths.
        lengths: tokens of each row.
    """
    tokens = np.asarray(lengths, dtype=np.int64)
    config, kept = objective.teacher.config, _Kept.of(objective)
    heads = config.num_attention_heads

    # Some families have heads whose widths do not sum to that of the hidden states.
    width = heads * config.head_dim if getattr(config, "head_dim", None) else config.hidden_size
    vectors = len(kept.states) * config.hidden_size
    if kept.kind == MAPS:
        vectors += len(kept.layers) * width
    if kept.kind == RELATIONS:
        vectors += OPERANDS * width
    pairs = len(kept.layers) * heads * int((tokens**2).sum())
    return int(4 * (vectors * int(tokens.sum()) + pairs + len(tokens) * config.num_labels))


def memory_limit() -> int:
    """Return how many bytes of its teacher's outputs a training may keep."""
    return min(LARGEST, physical_memory() // 8)
