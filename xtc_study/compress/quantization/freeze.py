"""Freeze a student's weights after training: compute integers and scales once and keep them.

The last bits of a mean of magnitudes depend on the order of summation, and so on the device and number of threads. A
scale recomputed elsewhere may differ, and a ternary weight near the threshold may become another integer. So integers
and scales are computed once, where the student was trained, by the functions of its own forward pass; the forward
pass, the file and every comparison then read the frozen values. These are buffers outside ``state_dict``: a saved
training step holds only the latent weights.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

import torch
from torch import Tensor, nn

from xtc_study.compress.quantization.quantizers import Quantized, WeightFormat


class Freezable(nn.Module, ABC):
    """A low-bit layer that can be frozen, until training mode or ``load_state_dict`` thaws it."""

    weight: Tensor
    weight_format: WeightFormat | None
    weight_scale: nn.Parameter | None
    """The learned scales, one number each in one dimension; None if scales follow from the weight by a rule."""
    frozen_integers: Tensor | None
    """int8, shape of the weight."""
    frozen_scale: Tensor | None
    """(1 or rows, groups), float32."""

    @property
    def learned_scale(self) -> nn.Parameter | None:
        """The learned scales, where the present format has such: a progressive start has others for a time."""
        return self.weight_scale if self.weight_format is not None and self.weight_format.learned else None

    @abstractmethod
    def quantized_weight(self) -> Quantized:
        """Return what the forward pass computes with, as float32: frozen, or quantised from the current weight."""

    def stored_weight(self) -> Quantized:
        """Return what a file stores of the weight: ``quantized_weight`` with int8 integers, on the layer's own device.

        Raises:
            ValueError: a scale is not finite.
        """
        if self.frozen_integers is not None and self.frozen_scale is not None:
            return Quantized(self.frozen_integers, self.frozen_scale)
        with torch.no_grad():
            integers, scale = self.quantized_weight()
        if not torch.isfinite(scale).all():
            wrong = float(scale[~torch.isfinite(scale)][0])
            cause = "a weight is not finite, or the sum of magnitudes exceeds float32 (3.4e38)"
            if self.weight_scale is not None:
                cause = "its training diverged"
            raise ValueError(
                f"a scale of its weight is {wrong}, expected a finite number: {cause}; train it again with a lower "
                "learning rate"
            )
        return Quantized(integers.to(torch.int8), scale)

    def freeze_weight(self) -> None:
        """Keep the current integers and scale; a frozen layer stays as it is.

        Raises:
            ValueError: a scale is not finite.
        """
        self.frozen_integers, self.frozen_scale = self.stored_weight()

    def thaw_weight(self) -> None:
        """Make the layer quantise its weight in every forward pass, as before it was frozen."""
        self.register_buffer("frozen_integers", None, persistent=False)
        self.register_buffer("frozen_scale", None, persistent=False)

    def train(self, mode: bool = True) -> Self:
        if mode:
            self.thaw_weight()
        return super().train(mode)

    def _load_from_state_dict(self, *given: Any, **named: Any) -> None:
        self.thaw_weight()
        super()._load_from_state_dict(*given, **named)


def freeze(model: nn.Module) -> None:
    """Put a student into evaluation mode and freeze the integers and scales of its low-bit layers.

    Scales of inputs are not frozen: they follow from each input, or are a static range, which is saved as it is.

    Raises:
        ValueError: a scale is not finite; the message names the module.
    """
    model.eval()
    for name, module in model.named_modules():
        if isinstance(module, Freezable) and module.weight_format is not None:
            try:
                module.freeze_weight()
            except ValueError as error:
                raise ValueError(f"module {name!r}: {error}") from None
