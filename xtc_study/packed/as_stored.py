"""Round a trained student's unpacked tensors as a file does; the loaded file must equal the result bit for bit.

A scale is not a parameter of the student: it follows from the latent weights, or was frozen when training ended. So a
rounded student holds each low-bit layer's integers with the rounded scale, and computes like the training layers,
without packing or an engine.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from xtc_study.compress.quantization.integer_first import integer_first_linear
from xtc_study.compress.quantization.layers import LowBitEmbedding, LowBitLinear
from xtc_study.compress.quantization.lowbit import replace
from xtc_study.compress.quantization.quantizers import Quantized, dequantize
from xtc_study.packed.unpacked import rounded


class _RoundedLinear(nn.Module):
    def __init__(self, layer: LowBitLinear, fmt: str) -> None:
        super().__init__()
        self.layer = layer
        integers, scale = layer.quantized_weight() if layer.weight_format is None else layer.stored_weight()
        if layer.weight_format is None:
            integers = rounded(integers.reshape(-1), fmt).reshape(integers.shape)
        else:
            scale = rounded(scale, fmt)
        self.quantized = Quantized(integers.float(), scale)
        self.bias = None if layer.bias is None else rounded(layer.bias, fmt)

    def forward(self, x: Tensor) -> Tensor:
        inputs = self.layer.quantized_input(x)
        return integer_first_linear(
            inputs.integers, inputs.scale, self.quantized, self.bias, self.layer.largest_product
        )


class _RoundedEmbedding(nn.Module):
    def __init__(self, table: LowBitEmbedding, fmt: str) -> None:
        super().__init__()
        integers, scale = table.stored_weight()
        self.rows = dequantize(Quantized(integers.float(), rounded(scale, fmt)))

    def forward(self, ids: Tensor) -> Tensor:
        return self.rows[ids]


@torch.no_grad()
def rounded_student(model: Any, fmt: str) -> Any:
    """Return the student as a file stores it: the student itself for fp32, else a rounded copy.

    Args:
        model: a trained student.
        fmt: format of the unpacked tensors, the recipe's ``rest``: fp32, fp16 or 8bit.

    Raises:
        ValueError: a number that this format cannot store.
    """
    if fmt == "fp32":
        return model
    model = copy.deepcopy(model)
    for name, module in list(model.named_modules()):
        if isinstance(module, LowBitLinear):
            replace(model, name, _RoundedLinear(module, fmt))
        elif isinstance(module, LowBitEmbedding):
            replace(model, name, _RoundedEmbedding(module, fmt))
        else:
            for parameter in module.parameters(recurse=False):
                parameter.copy_(rounded(parameter, fmt))
    return model
