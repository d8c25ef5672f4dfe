"""Inference-only layers made of a packed file's integers: the training layers' arithmetic, so the same logits."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xtc_study.compress.activations import ActivationFormat, quantize_activation
from xtc_study.compress.integer_first import integer_first_linear
from xtc_study.compress.quantizers import Quantized, WeightFormat, dequantize


class PackedLinear(nn.Module):
    """A linear with int8 integers (out, in), a float32 scale, and the activation format it was trained with."""

    integers: Tensor
    scale: Tensor
    bias: Tensor | None
    limit: Tensor | None

    def __init__(
        self,
        integers: Tensor,
        scale: Tensor,
        bias: Tensor | None,
        weight_format: WeightFormat | None,
        activation_format: ActivationFormat | None,
        limit: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("integers", integers)
        self.register_buffer("scale", scale)
        self.register_buffer("bias", bias)
        self.register_buffer("limit", limit)
        self.activation_format = activation_format
        self.largest_product = None
        if weight_format is not None and activation_format is not None:
            self.largest_product = weight_format.largest * activation_format.largest

    def forward(self, x: Tensor) -> Tensor:
        """x (..., in) to (..., out)."""
        weight = Quantized(self.integers.float(), self.scale)
        if self.activation_format is None:
            return integer_first_linear(x, None, weight, self.bias, None)
        activation = quantize_activation(x, self.activation_format, self.limit)
        return integer_first_linear(activation.integers, activation.scale, weight, self.bias, self.largest_product)


class PackedEmbedding(nn.Module):
    """A table of int8 integers (rows, width) with a float32 scale a row; rows are made float when looked up."""

    integers: Tensor
    scale: Tensor

    def __init__(self, integers: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("integers", integers)
        self.register_buffer("scale", scale)

    def forward(self, ids: Tensor) -> Tensor:
        """ids (...) to (..., width)."""
        flat = ids.reshape(-1)
        rows = dequantize(Quantized(self.integers[flat].to(torch.float32), self.scale[flat]))
        return rows.reshape(*ids.shape, -1)
