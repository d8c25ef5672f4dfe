"""Inference-only layers of a packed file: they have the training layers' arithmetic, and so the same logits.

They are created empty, filled from the file, and then prepared by an engine, which decides what stays in memory.
``torch.compile`` skips them and compiles what lies between: their kernels are not PyTorch code that it could trace,
and fused operations would round differently.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from xtc_study.compress.quantization.activations import StaticRange
from xtc_study.compress.quantization.quantizers import Quantized, dequantize
from xtc_study.packed import base3
from xtc_study.packed.module_format import ModuleFormat


class PackedLinear(nn.Module):
    """A linear (out, in) whose ``weight`` holds the bytes of the file until an engine takes them.

    ``weight_scale`` is (1 or out, groups) float32; ``weight`` is float (out, in) if only the input is quantised.
    """

    weight: Tensor | None
    weight_scale: Tensor | None
    bias: Tensor | None
    integers: Tensor | None
    """int8 (out, in), for engines that keep unpacked weights."""

    def __init__(self, module_format: ModuleFormat, bias: bool) -> None:
        super().__init__()
        self.format = module_format
        self.register_buffer("weight", torch.empty(0))
        self.register_buffer("weight_scale", torch.empty(0) if module_format.weight is not None else None)
        self.register_buffer("bias", torch.empty(0) if bias else None)
        self.register_buffer("integers", None, persistent=False)
        static = module_format.activation is not None and module_format.activation.static
        self.input_range = StaticRange() if static else None
        self.engine: Any = None

    @torch.compiler.disable(reason="an engine computes a packed linear")  # type: ignore[untyped-decorator]
    def forward(self, x: Tensor) -> Tensor:
        """Map x (..., in) to (..., out)."""
        result: Tensor = self.engine.linear(self, x)
        return result

    def extra_repr(self) -> str:
        return f"{self.format}, engine={getattr(self.engine, 'name', None)}"


class PackedEmbedding(nn.Module):
    """A table whose rows stay packed in memory: uint8 (rows, bytes per row), one float32 scale per row."""

    weight: Tensor
    weight_scale: Tensor

    def __init__(self, module_format: ModuleFormat) -> None:
        super().__init__()
        self.format = module_format
        self.register_buffer("weight", torch.empty(0))
        self.register_buffer("weight_scale", torch.empty(0))

    @torch.compiler.disable(reason="packed rows are unpacked by numpy")  # type: ignore[untyped-decorator]
    def forward(self, ids: Tensor) -> Tensor:
        """Map ids (...) to (..., width)."""
        flat = ids.reshape(-1)
        rows = dequantize(Quantized(unpacked_rows(self.weight[flat], self.format).float(), self.weight_scale[flat]))
        return rows.reshape(*ids.shape, -1)


@cache
def _base3_table(device: torch.device) -> Tensor:
    """The digits of each byte, int8 (256, digits), copied to each device once."""
    return torch.from_numpy(base3.table()).to(device)


def unpacked_rows(codes: Tensor, module_format: ModuleFormat) -> Tensor:
    """Unpack uint8 (rows, bytes per row) to int8 (rows, columns), on any device."""
    assert module_format.weight is not None
    bits, columns, is_odd = module_format.weight.bits, module_format.shape[1], module_format.weight.is_odd
    if bits == 2 and not is_odd:
        return _base3_table(codes.device)[codes.int()].flatten(1)[:, :columns]
    if bits == 8:
        return (codes.to(torch.int16) - 127).to(torch.int8)

    # The bits of each row in order, least significant first.
    shifts = torch.arange(8, dtype=torch.uint8, device=codes.device)
    stream = ((codes.unsqueeze(-1) >> shifts) & 1).flatten(1)[:, : columns * bits]
    if bits == 1:
        return (stream << 1).to(torch.int8) - 1
    digits = stream.reshape(len(codes), columns, bits).to(torch.int8)
    values = sum(digits[:, :, bit] << bit for bit in range(bits))
    assert isinstance(values, Tensor)
    if is_odd:
        return 2 * values - 3
    return values - module_format.weight.largest
