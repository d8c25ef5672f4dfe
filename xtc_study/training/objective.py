"""What a training minimises: loss terms between a student, its teacher and the labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from xtc_study.compress.distillation.losses import ATTENTION, HIDDEN, LABELS, distillation_terms
from xtc_study.compress.reduction.layers import hidden_state_map
from xtc_study.training.precision import Precision


@dataclass(frozen=True)
class Objective:
    """The loss terms of a training, and the teacher that they compare the student with."""

    terms: tuple[str, ...]
    teacher: Any = None
    """Needed for every term except 'labels'."""
    layers: tuple[int, ...] = ()
    """The teacher layer that each student layer is compared with."""
    pad_in_loss: bool = False
    teacher_dropout: bool = False


def losses_of(
    objective: Objective,
    precision: Precision,
    student: Any,
    inputs: dict[str, Tensor],
    labels: Tensor,
    teacher_outputs: Any = None,
) -> tuple[Any, dict[str, Tensor]]:
    """Return the student's outputs for one batch and each loss term of the objective, a scalar.

    Args:
        objective: loss terms and teacher.
        precision: precision of the forward passes.
        student: the model in training.
        inputs: input_ids, attention_mask, ... of shape (batch, positions).
        labels: (batch,).
        teacher_outputs: the teacher's outputs for this batch; None: the teacher computes them.
    """
    terms = objective.terms
    want = {"output_attentions": ATTENTION in terms, "output_hidden_states": HIDDEN in terms}
    states = hidden_state_map(objective.layers) if objective.layers else ()
    with precision.autocast():
        if teacher_outputs is None and terms != (LABELS,):
            with torch.no_grad():
                teacher_outputs = objective.teacher(**inputs, **want)

        outputs = student(**inputs, **want)
        mask = None if objective.pad_in_loss else inputs["attention_mask"]
        return outputs, distillation_terms(terms, outputs, teacher_outputs, objective.layers, states, mask, labels)
