"""Distillation losses. By default all weights 1, temperature 1, no hard-label term, as in XTC's one-stage method.

Source of each term: the authors' ``forward_loss`` (DeepSpeedExamples, compression/bert/util.py). Padding is excluded
here; ``pad_in_loss`` includes it, as their code does. Its amount differs: here a batch holds rows of similar length
and is padded to its longest row, while their scripts pad every row to 128. On QNLI's dev rows (batches of 32) padding
is 13.7 % of the positions and 31.5 % of the score pairs here, and 62.5 % and 84.0 % at 128.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

ATTENTION, HIDDEN, LOGITS, LABELS = "attention", "hidden", "logits", "labels"
"""Names of the loss terms."""
ATTENTION_OUTPUT = "attention output"
"""Name of the second term where attention maps are compared."""


def soft_cross_entropy(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean of -softmax(teacher) log_softmax(student) over batch and classes. Both (batch, classes)."""
    return -(teacher.float().softmax(-1) * student.float().log_softmax(-1)).mean()


def logit_loss(student: Tensor, teacher: Tensor, temperature: float = 1) -> Tensor:
    """Return the soft cross-entropy for classification, or the mean squared error for regression (1 column).

    Args:
        student: logits (batch, classes).
        teacher: same shape.
        temperature: T; both are divided by it and the cross-entropy is multiplied by T^2, so that its gradient keeps
            its size (Hinton et al. 2015, section 2). Without effect on a regression, which has no softmax.
    """
    if student.shape[-1] == 1:
        return F.mse_loss(student.float(), teacher.float())
    if temperature == 1:
        return soft_cross_entropy(student, teacher)
    return soft_cross_entropy(student.float() / temperature, teacher.float() / temperature) * temperature**2


def label_loss(student: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy to class ids (batch,), or the mean squared error to float targets for regression."""
    if student.shape[-1] == 1:
        return F.mse_loss(student.float().squeeze(-1), labels.float())
    return F.cross_entropy(student.float(), labels)


def hidden_loss(student: Sequence[Tensor], teacher: Sequence[Tensor], mask: Tensor | None) -> Tensor:
    """Sum the mean squared errors of pairs of hidden states (batch, positions, width).

    Args:
        student: hidden states.
        teacher: as many, same shapes.
        mask: (batch, positions), 1 at real tokens; None counts every position.
    """
    weight = None if mask is None else mask[:, :, None]
    return _sum_of_errors(student, teacher, weight)


def attention_loss(student: Sequence[Tensor], teacher: Sequence[Tensor], mask: Tensor | None) -> Tensor:
    """Sum the mean squared errors of pairs of attention scores (batch, heads, queries, keys).

    Args:
        student: scores.
        teacher: as many, same shapes.
        mask: (batch, positions), 1 at real tokens; a score counts if query and key are real. None counts every score.
    """
    weight = None if mask is None else mask[:, None, :, None] * mask[:, None, None, :]
    return _sum_of_errors(student, teacher, weight)


def _sum_of_errors(student: Sequence[Tensor], teacher: Sequence[Tensor], weight: Tensor | None) -> Tensor:
    total = torch.zeros((), device=student[0].device)
    counted: Tensor | int = student[0].numel()
    if weight is not None:
        weight = weight.float()
        counted = weight.sum() * (student[0].numel() / weight.numel())
    for one, other in zip(student, teacher, strict=True):
        squared: Tensor = _SquaredError.apply(one, other, weight)  # type: ignore[no-untyped-call]
        total = total + squared / counted
    return total


class _SquaredError(torch.autograd.Function):
    """``(weight * (student - teacher)^2).sum()`` in float32, for weights of 0 and 1, which equal their squares.

    Scores of long texts are the largest tensors of a step. With autograd's own operations, each pair would take five
    passes over memory and keep three tensors for the backward pass; this takes three passes and keeps one.
    """

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor, weight: Tensor | None) -> Tensor:
        difference = student.to(torch.float32, copy=True).sub_(teacher)
        if weight is not None:
            difference.mul_(weight)
        ctx.save_for_backward(difference)
        ctx.dtype = student.dtype
        flat = difference.reshape(-1)
        return flat.dot(flat)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (difference,) = ctx.saved_tensors
        return (difference * (2 * grad)).to(ctx.dtype), None, None


def distillation_terms(
    terms: Sequence[str],
    student: Any,
    teacher: Any,
    layers: Sequence[int],
    states: Sequence[int],
    mask: Tensor | None,
    labels: Tensor,
    temperature: float = 1,
) -> dict[str, Tensor]:
    """Compute the named terms of one batch, each a scalar.

    Args:
        terms: any of attention, hidden, logits and labels.
        student: model outputs with logits, and with hidden_states and attentions (scores) if a term needs them.
        teacher: likewise; None if labels is the only term.
        layers: the teacher layer of each student layer.
        states: the teacher hidden state of each student hidden state.
        mask: (batch, positions), or None to count padding.
        labels: (batch,), class ids or float targets.
        temperature: of the logits' term.
    """
    losses = {}
    if ATTENTION in terms:
        losses[ATTENTION] = attention_loss(student.attentions, [teacher.attentions[i] for i in layers], mask)
    if HIDDEN in terms:
        losses[HIDDEN] = hidden_loss(student.hidden_states, [teacher.hidden_states[i] for i in states], mask)
    if LOGITS in terms:
        losses[LOGITS] = logit_loss(student.logits, teacher.logits, temperature)
    if LABELS in terms:
        losses[LABELS] = label_loss(student.logits, labels)
    return losses
