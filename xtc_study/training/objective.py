"""What a training minimises: loss terms between a student, its teacher and the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from xtc_study.chain import Step
from xtc_study.compress.distillation.attention_maps import context_loss, map_loss
from xtc_study.compress.distillation.attention_tape import AttentionTape, StandIn, Wanted
from xtc_study.compress.distillation.losses import (
    ATTENTION,
    ATTENTION_OUTPUT,
    HIDDEN,
    LABELS,
    LOGITS,
    distillation_terms,
)
from xtc_study.compress.distillation.relations import relation_loss
from xtc_study.compress.reduction.layers import hidden_state_map
from xtc_study.recipe import Recipe
from xtc_study.training.intervention import MAP, OUTPUT, Standing
from xtc_study.training.precision import Precision

SCORES, MAPS, RELATIONS = "scores", "maps", "relations"
"""What of the attention is compared."""


@dataclass(frozen=True)
class Comparison:
    """How a student is compared with its teacher; the defaults are XTC's. Fields as in the recipe."""

    attention_loss: str = SCORES
    relation_layer: int | None = None
    attention_weight: float = 1
    hidden_weight: float = 1
    label_weight: float = 0
    temperature: float = 1


@dataclass(frozen=True)
class Objective:
    """The loss terms of a training, and the teacher that they compare the student with."""

    terms: tuple[str, ...]
    """attention stands for the attention output too, where maps are compared."""
    teacher: Any = None
    """Needed for every term except 'labels'."""
    layers: tuple[int, ...] = ()
    """The teacher layer that each student layer is compared with."""
    pad_in_loss: bool = False
    teacher_dropout: bool = False
    comparison: Comparison = Comparison()
    intervention: float = 0
    """First share of the training's steps in which the teacher intervenes."""

    @classmethod
    def of(cls, step: Step, recipe: Recipe, teacher: Any, layers: Sequence[int]) -> Objective:
        """Return the objective of one step of a recipe's chain.

        A term of weight 0 is left out. The labels' own loss joins the logits' where it has a weight. The intervention
        is a share of the whole low-bit phase, and lies within its first stage.

        Args:
            step: names the terms.
            recipe: gives weights and kinds.
            teacher: the fine-tuned teacher; without effect for the teacher's own step.
            layers: the teacher layer that each student layer is compared with.
        """
        if step.phase == "teacher":
            return cls(step.terms)
        comparison = Comparison(
            recipe.attention_loss,
            recipe.relation_layer,
            recipe.attention_weight,
            recipe.hidden_weight,
            recipe.label_weight,
            recipe.temperature,
        )
        left_out = {ATTENTION: recipe.attention_weight == 0, HIDDEN: recipe.hidden_weight == 0}
        terms = tuple(term for term in step.terms if not left_out.get(term))
        if LOGITS in terms and recipe.label_weight > 0:
            terms = (*terms, LABELS)
        first = step.phase == "quantise" and step.part[0] == 0
        intervention = recipe.intervention * step.part[1] if first else 0
        return cls(terms, teacher, tuple(layers), recipe.pad_in_loss, recipe.teacher_dropout, comparison, intervention)

    @property
    def kind(self) -> str | None:
        """What of the attention is compared; None: nothing."""
        return self.comparison.attention_loss if ATTENTION in self.terms else None

    @property
    def reads_attention(self) -> bool:
        """Whether models must use our attention function."""
        return self.kind is not None or self.intervention > 0

    @property
    def needs_teacher(self) -> bool:
        return self.terms != (LABELS,) or self.intervention > 0

    @property
    def relation_layers(self) -> tuple[int, int]:
        """The layers of student and teacher whose relations are compared."""
        chosen = self.comparison.relation_layer
        if chosen is None:
            return len(self.layers) - 1, int(self.teacher.config.num_hidden_layers) - 1
        return self.layers.index(chosen), chosen

    def weight(self, term: str) -> float:
        """Return the weight of a term; labels that are learned alone have 1."""
        if term in (ATTENTION, ATTENTION_OUTPUT):
            return self.comparison.attention_weight
        if term == HIDDEN:
            return self.comparison.hidden_weight
        return self.comparison.label_weight if term == LABELS and LOGITS in self.terms else 1


def losses_of(
    objective: Objective,
    precision: Precision,
    student: Any,
    inputs: dict[str, Tensor],
    labels: Tensor,
    teacher_outputs: Any = None,
    standing: Standing | None = None,
) -> tuple[Any, dict[str, Tensor]]:
    """Return the student's outputs for one batch and each loss term of the objective, a scalar, times its weight.

    Args:
        objective: loss terms and teacher.
        precision: precision of the forward passes.
        student: the model in training.
        inputs: input_ids, attention_mask, ... of shape (batch, positions).
        labels: (batch,).
        teacher_outputs: the teacher's outputs for this batch, with its attention as ``TeacherOutputs`` gives it; None:
            the teacher computes them.
        standing: what the teacher's attention stands in for; None: nothing.
    """
    kind, mode = objective.kind, standing.mode if standing is not None else None
    want = {"output_attentions": kind == SCORES, "output_hidden_states": HIDDEN in objective.terms}
    with precision.autocast():
        attention = teacher_outputs
        if teacher_outputs is None and objective.needs_teacher:
            attention = AttentionTape(_of_teacher(objective, mode))
            with torch.no_grad(), attention.recording():
                teacher_outputs = objective.teacher(**inputs, **want)

        tape = AttentionTape(_of_student(objective), _stand_in(objective, attention, standing))
        with tape.recording():
            outputs = student(**inputs, **want)

        mask = None if objective.pad_in_loss else inputs["attention_mask"]
        losses = {} if kind in (None, SCORES) else _attention_terms(objective, tape, attention, mask)
        rest = tuple(term for term in objective.terms if term != ATTENTION or kind == SCORES)
        states = hidden_state_map(objective.layers) if objective.layers else ()
        losses |= distillation_terms(
            rest, outputs, teacher_outputs, objective.layers, states, mask, labels, objective.comparison.temperature
        )
    weighted = {term: objective.weight(term) for term in losses}
    return outputs, {term: value if weighted[term] == 1 else value * weighted[term] for term, value in losses.items()}


def _of_teacher(objective: Objective, mode: str | None) -> Wanted:
    return Wanted(
        maps=objective.kind == MAPS or mode == MAP,
        contexts=objective.kind == MAPS or mode == OUTPUT,
        operands=objective.relation_layers[1] if objective.kind == RELATIONS else None,
    )


def _of_student(objective: Objective) -> Wanted:
    return Wanted(
        scores=objective.kind == MAPS,
        contexts=objective.kind == MAPS,
        operands=objective.relation_layers[0] if objective.kind == RELATIONS else None,
    )


def _stand_in(objective: Objective, teacher: Any, standing: Standing | None) -> StandIn | None:
    if standing is None:
        return None
    if standing.mode == MAP:
        return StandIn(maps=[teacher.maps[layer] for layer in objective.layers])
    return StandIn(contexts=[teacher.contexts[layer] for layer in objective.layers], share=standing.share)


def _attention_terms(objective: Objective, student: Any, teacher: Any, mask: Tensor | None) -> dict[str, Tensor]:
    """Return the terms of attention where it is not the scores that are compared."""
    if objective.kind == RELATIONS:
        return {ATTENTION: relation_loss(student.operands, teacher.operands, mask)}
    maps, contexts = ([of[layer] for layer in objective.layers] for of in (teacher.maps, teacher.contexts))
    return {
        ATTENTION: map_loss(student.scores, maps, mask),
        ATTENTION_OUTPUT: context_loss(student.contexts, contexts, mask),
    }
