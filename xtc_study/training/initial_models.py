"""The model that each step of a recipe's chain starts from."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

from torch import Tensor
from transformers import set_seed

from xtc_study.chain import Step
from xtc_study.compress.reduction.layers import layer_map, reduced
from xtc_study.compress.reduction.width import kept_units, magnitudes, narrowed
from xtc_study.places import Places
from xtc_study.recipe import Recipe
from xtc_study.tasks.batches import Padding
from xtc_study.tasks.task import Task
from xtc_study.training.importance import importances
from xtc_study.training.label_scale import LabelScale
from xtc_study.training.low_bit_start import start_low_bit, unpadded_batches
from xtc_study.training.pretrained import load_with_head
from xtc_study.training.static_table import static_model, vectors_model


@dataclasses.dataclass(frozen=True)
class InitialModels:
    """Makes the model that a step starts from: loaded, cut, narrowed, made low-bit, or the parent step's own."""

    recipe: Recipe
    places: Places
    task: Task
    tokenizer: Any
    rows: Any
    """Encoded training rows."""
    padding: Padding
    label_scale: LabelScale
    teacher_layers: tuple[int, ...]
    """Numbers of the encoder's layers that the teacher keeps."""
    device: str
    read: Callable[[Step], Any]
    """Returns a finished step's model."""
    heads: dict[str, str] = dataclasses.field(default_factory=dict)
    """Whether the head of each checkpoint loaded so far is used, in words, by the field that names it."""

    def of(self, step: Step, teacher: Any) -> Any:
        """Return the model that the step starts from, on the training device.

        Args:
            step: a step of the recipe's chain, whose parent is finished.
            teacher: the trained teacher; None for the steps before it.
        """
        recipe = self.recipe
        set_seed(recipe.seed)
        if step.phase == "vectors":
            model = vectors_model(self._encoder().to(self.device), self.tokenizer)
        elif step.phase == "static" and step.parent is not None:
            vectors = self.read(step.parent)
            model = static_model(recipe, vectors, self.tokenizer, self.task, self.rows, self.padding)
        elif step.phase == "teacher":
            model = self._encoder()
        elif step.parent is not None and step.parent.phase != "teacher":
            model = self.read(step.parent)
            self.label_scale.unfold(model)
            if step.phase == "quantise" and step.parent.phase == "reduce":
                self._make_low_bit(model, teacher)
        else:
            model = self._full_precision_student(teacher)
            if step.phase == "quantise":
                self._make_low_bit(model, teacher)
        return model.to(self.device)

    def _make_low_bit(self, model: Any, teacher: Any) -> None:
        """Make a full-precision student low-bit in place, with the start that the recipe names."""

        def batches() -> list[dict[str, Tensor]]:
            return unpadded_batches(self.rows, self.padding, self.recipe.seed)

        start_low_bit(model.to(self.device), teacher, self.recipe, self.tokenizer, batches)

    def _full_precision_student(self, teacher: Any) -> Any:
        """Return the student before its first training, in full precision."""
        recipe = self.recipe
        layers = layer_map(len(self.teacher_layers), recipe.layers)
        if recipe.start == "teacher":
            return reduced(self._narrow(teacher), layers)
        if recipe.start == "pretrained":
            return reduced(self._narrow(self._encoder()), layers)
        student = self._narrow(self.loaded("start"))
        return reduced(student, layer_map(student.config.num_hidden_layers, len(layers)))

    def _encoder(self) -> Any:
        """Return the pre-trained encoder, cut to the teacher's depth."""
        recipe = self.recipe
        model = self.loaded("model")
        return model if recipe.teacher_layers is None else reduced(model, self.teacher_layers)

    def loaded(self, field: str) -> Any:
        """Return the checkpoint that a field of the recipe names; warn if its head is not used."""
        name = getattr(self.recipe, field)
        # Only teacher_epochs=0 states that the head's values are in the unit of the labels.
        unit_known = self.label_scale.is_plain or (field == "model" and self.recipe.teacher_epochs == 0)
        model, head = load_with_head(name, self.task, self.recipe.seed, self.places.models_dir, unit_known)
        self.heads[field] = head.text
        if head.kind == "drawn":
            warnings.warn(f"{field}={name!r}: {head.text}", stacklevel=2)
        if head.kind == "matched":
            self.label_scale.unfold(model)  # its values are in the unit of the labels
        return model

    def _narrow(self, model: Any) -> Any:
        """Return the model with the inner units that the recipe keeps; to be called before layers are removed."""
        if self.recipe.ffn is None:
            return model
        if self.recipe.ffn_by == "magnitude":
            scores = magnitudes(model)
        else:
            scores = importances(model.to(self.device), self.rows, self.padding)
        return narrowed(model, kept_units(scores, self.recipe.ffn))
