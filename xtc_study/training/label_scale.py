"""Numbers of any unit as a regression's labels: learned as multiples of their deviation, given back in their unit.

A regression of your own is trained on (label - mean) / deviation of the training labels, whatever their unit: a
classifier begins near 0, and a learning rate that suits labels from 0 to 5 does not reach 400,000. After each step of
the chain the two constants are folded into the classifier, w * deviation and b * deviation + mean. So every model
that is stored, scored, packed or exported answers in the unit of the labels, and no reader of it needs the constants.
GLUE's and the generated tasks are learned as they are.
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
"""Deviations whose classifier half precision can hold: its weights are about so large."""


MOST_MEAN = 1e5
"""The largest mean, in deviations, of which models can tell labels apart: float32 keeps 24 bits, so that a label is
then given back to within 1/100 of a deviation. 1.7e9 +- 30, times in seconds, would all be answered by one number."""


@dataclass(frozen=True)
class LabelScale:
    """Of the training labels, in their unit. The default changes nothing."""

    mean: float = 0.0
    deviation: float = 1.0

    @classmethod
    def of(cls, task: Task, train: Dataset) -> LabelScale:
        """The scale of the task's training rows; the plain one for classes and for tasks that are not your own."""
        if not task.is_regression or not task.name.startswith(PREFIX):
            return cls()
        labels = np.asarray(train["label"][:], dtype=np.float64)
        return cls(float(labels.mean()), float(labels.std()))

    @property
    def is_plain(self) -> bool:
        return self == LabelScale()

    def standard(self, labels: Sequence[float]) -> list[float]:
        """Labels as they are learned."""
        return list(labels) if self.is_plain else [(label - self.mean) / self.deviation for label in labels]

    def record(self) -> dict[str, float]:
        """What a step's record and a model's configuration say; nothing for the plain one."""
        return {} if self.is_plain else {"xtc_label_mean": self.mean, "xtc_label_deviation": self.deviation}

    def check(self, name: str, model: Any, rest: str) -> None:
        """Checks that the constants can be folded into this model's classifier.

        Raises:
            ModelError: a classifier without a bias; labels whose unit the file's ``rest`` cannot hold, or whose
                differences float32 loses.
        """
        if self.is_plain:
            return
        if abs(self.mean) > MOST_MEAN * self.deviation:
            raise ModelError(
                f"labels with a mean of {self.mean:.10g} and a deviation of {self.deviation:g} cannot be learned: "
                f"models answer in float32, whose numbers there lie {np.spacing(np.float32(abs(self.mean))):g} apart; "
                f"subtract a constant from all labels, for example {round(self.mean, 0):.10g}"
            )
        if _classifier(model).bias is None:
            raise ModelError(f"model={name!r}: its classifier has no bias, which a regression of your own data needs")
        low, high = HALF_PRECISION
        if rest == "fp16" and not low <= self.deviation <= high:
            raise ModelError(
                f"rest='fp16': half precision cannot hold a classifier for labels with a deviation of "
                f"{self.deviation:g}; use rest='8bit' or 'fp32', or labels in another unit"
            )

    @torch.no_grad()
    def fold(self, model: Any) -> None:
        """Makes a model that answers in deviations answer in the labels' unit, in place."""
        if not self.is_plain:
            head = _classifier(model)
            head.weight.copy_((_double(head.weight) * self.deviation).float())
            head.bias.copy_((_double(head.bias) * self.deviation + self.mean).float())
            for field, value in self.record().items():
                setattr(model.config, field, value)

    @torch.no_grad()
    def unfold(self, model: Any) -> None:
        """The other way round, so that it can be trained."""
        if not self.is_plain:
            head = _classifier(model)
            head.weight.copy_((_double(head.weight) / self.deviation).float())
            head.bias.copy_(((_double(head.bias) - self.mean) / self.deviation).float())

    @contextmanager
    def unfolded(self, model: Any) -> Iterator[None]:
        """A teacher that answers in deviations for a while; it is put back to the last bit. None: no teacher."""
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
    """On the CPU, for there are devices without float64 (MPS)."""
    return tensor.cpu().double()


def _classifier(model: Any) -> nn.Linear:
    """The last linear, in full precision in students too."""
    *_, last = (part for part in model.modules() if isinstance(part, nn.Linear))
    return last
