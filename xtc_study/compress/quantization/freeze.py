"""A student's weights when its training is over: integers and scales, computed once and kept.

The last bits of a mean of magnitudes depend on the order of its sum, so on the device and on the number of threads. A
scale that is computed again elsewhere is another scale, and a ternary weight near the threshold another integer. So
they are computed once, where the student was trained, by the functions of its own forward pass; the forward pass, the
file and whatever is compared with it then read what was kept. Kept are buffers outside ``state_dict``: a saved
training step holds the latent weights alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

import torch
from torch import Tensor, nn

from xtc_study.compress.quantization.quantizers import Quantized, WeightFormat


class Freezable(nn.Module, ABC):
    """A low-bit layer. Frozen until it is put into training mode or gets other weights by ``load_state_dict``."""

    weight_format: WeightFormat | None
    frozen_integers: Tensor | None
    """int8, shape of the weight."""
    frozen_scale: Tensor | None
    """(1 or rows, groups), float32."""

    @abstractmethod
    def quantized_weight(self) -> Quantized:
        """What the forward pass computes with, as float32: frozen, or of the weight as it is now."""

    def stored_weight(self) -> Quantized:
        """What a file holds of the weight: ``quantized_weight`` with int8 integers, on the layer's own device.

        Raises:
            ValueError: a scale that is not finite.
        """
        if self.frozen_integers is not None and self.frozen_scale is not None:
            return Quantized(self.frozen_integers, self.frozen_scale)
        with torch.no_grad():
            integers, scale = self.quantized_weight()
        if not torch.isfinite(scale).all():
            wrong = float(scale[~torch.isfinite(scale)][0])
            raise ValueError(
                f"a scale of its weight is {wrong}, expected a finite number: a weight is not finite, or magnitudes "
                "sum beyond float32 (3.4e38); train it again with a lower learning rate"
            )
        return Quantized(integers.to(torch.int8), scale)

    def freeze_weight(self) -> None:
        """Fixes integers and scale as they are now; a frozen layer stays as it is.

        Raises:
            ValueError: a scale that is not finite.
        """
        self.frozen_integers, self.frozen_scale = self.stored_weight()

    def thaw_weight(self) -> None:
        """Makes the layer quantise its weight in every forward pass, as before it was frozen."""
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
    """Puts a student into evaluation mode and fixes the integers and scales of its low-bit layers.

    Scales of inputs are not fixed here: they follow from each input, or are a static range, which is saved as it is.

    Raises:
        ValueError: a scale that is not finite; the message names the module.
    """
    model.eval()
    for name, module in model.named_modules():
        if isinstance(module, Freezable) and module.weight_format is not None:
            try:
                module.freeze_weight()
            except ValueError as error:
                raise ValueError(f"module {name!r}: {error}") from None
