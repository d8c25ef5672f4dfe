"""Standardise a regression's labels for training, and return the model's values to the labels' unit.

A regression on your own data is trained on (label - mean) / deviation of the training labels, whatever their unit: a
classifier starts near 0, and a learning rate that suits labels from 0 to 5 never reaches 400,000. After each step of
the chain the two constants are folded into the classifier: w * deviation and b * deviation + mean. So every model that
is stored, scored, packed or exported predicts in the unit of the labels, and its users do not need the constants. The
regressions of GLUE and of the generated tasks are trained on their labels unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from xtc_study.model_source import ModelError
from xtc_study.tasks.task import Task
from xtc_study.tasks.user.dataset import PREFIX

if TYPE_CHECKING:
    from datasets import Dataset

HALF_PRECISION = (1e-2, 1e4)
"""Range of deviations for which half precision can store the classifier, whose weights are of that size."""


MOST_MEAN = 1e5
"""The largest mean, in deviations, at which models can distinguish labels: float32 keeps 24 bits, so that a label is
then exact to 1/100 of a deviation. For 1.7e9 +- 30, times in seconds, every prediction would be one number."""


@dataclass(frozen=True)
class LabelScale:
    """Mean and deviation of the training labels, in their unit. The default changes nothing."""

    mean: float = 0.0
    deviation: float = 1.0

    @classmethod
    def of(cls, task: Task, train: Dataset) -> LabelScale:
        """Return the scale of the task's training rows; the default for classes and for built-in tasks."""
        if not task.is_regression or not task.name.startswith(PREFIX):
            return cls()
        labels = np.asarray(train["label"][:], dtype=np.float64)
        return cls(float(labels.mean()), float(labels.std()))

    @property
    def is_plain(self) -> bool:
        return self == LabelScale()

    def standard(self, labels: Sequence[float]) -> list[float]:
        """Return labels in the scale of training."""
        return list(labels) if self.is_plain else [(label - self.mean) / self.deviation for label in labels]

    def record(self) -> dict[str, float]:
        """Return the fields that a step's record and a model's configuration store; empty for the default."""
        return {} if self.is_plain else {"xtc_label_mean": self.mean, "xtc_label_deviation": self.deviation}

    def check(self, name: str, model: Any, rest: str) -> None:
        """Check that the constants can be folded into this model's classifier.

        Args:
            name: the model's name, for messages.
            model: a classifier.
            rest: the recipe's format of unpacked tensors.

        Raises:
            ModelError: the classifier has no bias, ``rest`` cannot store values of this size, or float32 cannot
                distinguish the labels.
        """
        if self.is_plain:
            return
        if abs(self.mean) > MOST_MEAN * self.deviation:
            raise ModelError(
                f"labels with a mean of {self.mean:.10g} and a deviation of {self.deviation:g} cannot be learned: "
                f"float32 numbers of that size are {np.spacing(np.float32(abs(self.mean))):g} apart; subtract a "
                f"constant from all labels, for example {round(self.mean, 0):.10g}"
            )
        if _classifier(model).bias is None:
            raise ModelError(
                f"model={name!r}: its classifier has no bias, which a regression on your own data needs; choose "
                "another model"
            )
        low, high = HALF_PRECISION
        if rest == "fp16" and not low <= self.deviation <= high:
            raise ModelError(
                f"rest='fp16': half precision cannot store a classifier for labels with a deviation of "
                f"{self.deviation:g}; use rest='8bit' or 'fp32', or labels in another unit"
            )

    @torch.no_grad()
    def fold(self, model: Any) -> None:
        """Change a model that predicts in deviations to predict in the labels' unit, in place."""
        if not self.is_plain:
            head = _classifier(model)
            head.weight.copy_((_double(head.weight) * self.deviation).float())
            head.bias.copy_((_double(head.bias) * self.deviation + self.mean).float())
            for field, value in self.record().items():
                setattr(model.config, field, value)

    @torch.no_grad()
    def unfold(self, model: Any) -> None:
        """Undo ``fold``, in place, so that the model can be trained."""
        if not self.is_plain:
            head = _classifier(model)
            head.weight.copy_((_double(head.weight) / self.deviation).float())
            head.bias.copy_(((_double(head.bias) - self.mean) / self.deviation).float())

    @contextmanager
    def unfolded(self, model: Any) -> Iterator[None]:
        """Unfold a teacher inside the block; afterwards its weights are restored bit for bit. None: no teacher."""
        if model is None or self.is_plain:
            yield
            return
        head = _classifier(model)
        weight, bias = head.weight.detach().clone(), head.bias.detach().clone()
        self.unfold(model)
        try:
            yield
        finally:
            with torch.no_grad():
                head.weight.copy_(weight)
                head.bias.copy_(bias)


def _double(tensor: torch.Tensor) -> torch.Tensor:
    """Return float64 numbers on the CPU, because some devices have no float64 (MPS)."""
    return tensor.cpu().double()


def _classifier(model: Any) -> nn.Linear:
    """Return the last linear layer, which is in full precision in students too."""
    *_, last = (part for part in model.modules() if isinstance(part, nn.Linear))
    return last
