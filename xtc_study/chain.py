"""The chain of trainings that carries out a recipe, each step with its own content address. Imports no torch.

``teacher -> reduce -> quantise stage 1..n``, or ``vectors -> static`` for a table without a transformer. A step's
address covers its own parameters and its parent's address, so recipes that share a prefix of the chain share its
trained models.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from xtc_study.canonical import digest
from xtc_study.recipe import AUGMENTATION, VERSION, Recipe
from xtc_study.recipe_beyond import DISTILLATION, LOW_BIT_TRAINING, TRAINING

STAGE_TERMS: dict[int, tuple[tuple[str, ...], ...]] = {
    0: (("labels",),),
    1: (("attention", "hidden", "logits"),),
    2: (("attention", "hidden"), ("logits",)),
    3: (("attention", "hidden"), ("attention", "hidden", "logits"), ("logits",)),
}
"""The loss terms of each distillation stage, by the number of stages; 0 trains on the labels alone.

Two stages are those of TinyBERT and BinaryBERT; three put a stage with every term in between, to soften the change
(XTC).
"""

COMMON = ("task", "model", "max_length", "batch_size", "seed", "warmup", "weight_decay")
SHAPE = ("layers", "start", "pad_in_loss", "teacher_dropout")
LOW_BIT = (
    "weight_bits",
    "embedding_bits",
    "activation_bits",
    "granularity",
    "quantise_pooler",
    "activation_scale",
    "activation_range",
    "weight_clip",
)
STATIC = ("task", "max_length", "static", "embedding_bits")


@dataclass(frozen=True)
class Step:
    """One training in the chain."""

    phase: str
    """teacher, reduce, quantise, or distil (a student of full depth and precision); vectors and static (a table)."""
    terms: tuple[str, ...]
    """The loss terms it trains on."""
    epochs: float
    """Length of the whole phase."""
    part: tuple[int, int]
    """(i, n): this is stage i (from 0) of the n that share the phase's length."""
    learning_rate: float
    params: dict[str, Any]
    """Every recipe field that shapes the result."""
    parent: Step | None

    @cached_property
    def address(self) -> str:
        """Name of the step's folder: its phase and the hash of everything that shapes its result."""
        content = {
            "version": VERSION,
            "phase": self.phase,
            "terms": self.terms,
            "epochs": self.epochs,
            "part": self.part,
            "learning_rate": self.learning_rate,
            "params": self.params,
            "parent": self.parent.address if self.parent else None,
        }
        return f"{self.phase}-{digest(content)}"

    @property
    def task(self) -> str:
        """The task of the whole chain: the teacher's. Empty for an encoder's vectors, which serve every task."""
        if "task" in self.params:
            return str(self.params["task"])
        return self.parent.task if self.parent is not None else ""

    @property
    def title(self) -> str:
        """The step's name for a reader: 'quantise 2/3'."""
        return self.phase if self.part[1] == 1 else f"{self.phase} {self.part[0] + 1}/{self.part[1]}"

    def optimiser_steps(self, steps_per_epoch: int) -> int:
        """Return the step's share of the phase's optimiser steps, at least 1.

        The shares of all stages sum exactly to the phase's length. A phase of 0 epochs, a teacher used unchanged, has
        no steps.
        """
        if self.epochs == 0:
            return 0
        total = max(round(self.epochs * steps_per_epoch), self.part[1])
        stage, stages = self.part
        return total * (stage + 1) // stages - total * stage // stages


def chain(recipe: Recipe, synonyms: str | None = None) -> list[Step]:
    """Return the steps of a recipe, in order; the last one gives the student.

    A small student (of fewer layers or units) first finishes its fp32 reduction, unless ``order`` is 'together'; a
    full-precision one ends there. All others end with the low-bit training or, at full size and precision, with plain
    distillation. With augmentation, students learn from other rows than the teacher, so the settings of augmentation
    enter the students' addresses and not the teacher's.

    Args:
        recipe: what to carry out.
        synonyms: the hash of the synonym table that augmentation takes its words from; None: the built-in one.
    """
    values = recipe.model_dump(mode="json")

    def pick(*fields: str) -> dict[str, Any]:
        return {field: values[field] for field in fields}

    # A static table has no teacher, and an encoder's vectors are made once for every task, width and bits.
    if recipe.static is not None:
        vectors = Step("vectors", (), 0, (0, 1), 0, pick("model"), None)
        return [vectors, Step("static", (), 0, (0, 1), 0, pick(*STATIC), vectors)]

    # Fields that were added later enter an address only where they matter, so that older steps keep their names.
    common = pick(*COMMON, *(field for field in ("teacher_layers", "holdout") if values[field] is not None))
    teacher = Step("teacher", ("labels",), recipe.teacher_epochs, (0, 1), recipe.teacher_learning_rate, common, None)
    steps = [teacher]

    def changed(*fields: str) -> dict[str, Any]:
        return pick(*(field for field in fields if values[field] != Recipe.model_fields[field].default))

    # The fp32 reduction of a small student.
    rows = {**pick(*AUGMENTATION), "synonyms": synonyms} if recipe.augmentation != "none" else {}
    shape = {**pick(*SHAPE), **rows}
    if recipe.ffn is not None:
        shape |= pick("ffn", "ffn_by")
    shape |= changed(*TRAINING, *DISTILLATION)
    if recipe.optimizer == "adamw":
        shape.pop("muon_learning_rate", None)
    if (recipe.layers is not None or recipe.ffn is not None) and recipe.order == "reduce-then-quantise":
        steps += _phase(
            "reduce", recipe.reduce_stages, recipe.reduce_epochs, recipe.reduce_learning_rate, shape, teacher
        )
        if not recipe.is_low_bit:
            return steps

    # The low-bit training, or plain distillation.
    params = {**shape, **pick(*LOW_BIT), **changed(*LOW_BIT_TRAINING)}
    if recipe.quantise_attention:
        params |= pick("quantise_attention")
    if recipe.quantise_tables:
        params |= pick("quantise_tables")
    phase = "quantise" if recipe.is_low_bit else "distil"
    return steps + _phase(phase, recipe.stages, recipe.epochs, recipe.learning_rate, params, steps[-1])


def _phase(
    phase: str, stages: int, epochs: float, learning_rate: float, params: dict[str, Any], parent: Step
) -> list[Step]:
    steps: list[Step] = []
    terms = STAGE_TERMS[stages]
    for stage, names in enumerate(terms):
        parent = Step(phase, names, epochs, (stage, len(terms)), learning_rate, params, parent)
        steps.append(parent)
    return steps
