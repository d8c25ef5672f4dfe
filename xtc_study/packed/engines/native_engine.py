"""The fastest engine on a CPU, once built: weights keep 1 or 2 bits in memory, and a linear is one call of C++.

Unsupported layers (3 to 8 bits, groups of weights, full-precision inputs, other devices) use the torch engine.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xtc_study.compress.quantization.input_norm import EPSILON
from xtc_study.compress.quantization.quantizers import WeightFormat
from xtc_study.packed.engines import native_build
from xtc_study.packed.engines.raw_memory import CPU, floats, inputs, packed_bytes, results
from xtc_study.packed.engines.torch_engine import TorchEngine
from xtc_study.packed.layers import PackedLinear
from xtc_study.packed.packing import Integers

PANEL, QUAD = 32, 4
"""Outputs per panel and inputs per quad, in the layout that native.cpp describes."""


class NativeEngine:
    """For weights of 1 and 2 bits with one scale per tensor or row, and quantised inputs, on a CPU."""

    name = "native"

    def __init__(self) -> None:
        _library()  # a library that does not load raises now, not in the middle of a prediction
        _keep_freed_memory()
        self.torch = TorchEngine()

    def prepare(self, layer: PackedLinear) -> None:
        fmt = layer.format.weight
        suits = (
            fmt is not None
            and fmt.bits in (1, 2)
            and layer.format.scale_shape[1] == 1
            and layer.format.activation is not None
            and layer.weight is not None
            and layer.weight.device.type == "cpu"
        )
        if not suits:
            self.torch.prepare(layer)
            layer.engine = self.torch
        else:
            layer.weight = _repacked(layer)

    def linear(self, layer: PackedLinear, x: Tensor) -> Tensor:
        module_format, weight, scale = layer.format, layer.weight, layer.weight_scale
        assert (
            module_format.weight is not None
            and module_format.activation is not None
            and weight is not None
            and scale is not None
        )
        weight = packed_bytes(weight)
        if x.device.type != "cpu" or weight.device.type != "cpu":
            return self._elsewhere(layer, x)

        # Whatever the library reads by address must be float32 on the CPU and contiguous.
        outputs, columns = module_format.shape
        flat, scale, bias = inputs(x, columns), floats(scale), layer.bias
        if bias is not None:
            bias = floats(bias)
        limit = -1.0  # each row's own maximum
        if layer.input_range is not None:
            limit = float(layer.input_range.limit)
        elif module_format.activation.scale == "tensor":
            limit = float(flat.detach().abs().amax())

        y = results(*x.shape[:-1], outputs)
        _library().xtc_linear(
            module_format.weight.bits,
            *_line(module_format.weight),
            flat.data_ptr(),
            flat.numel() // columns,
            columns,
            weight.data_ptr(),
            outputs,
            scale.data_ptr(),
            scale.numel() == 1,
            None if bias is None else bias.data_ptr(),
            module_format.activation.largest,
            limit,
            EPSILON if module_format.input_norm else -1.0,
            y.data_ptr(),
            torch.get_num_threads(),
        )
        return y

    def _elsewhere(self, layer: PackedLinear, x: Tensor) -> Tensor:
        """Compute a model that was loaded on the CPU and then moved: unpack it for good and use the torch engine."""
        assert layer.weight is not None and layer.format.weight is not None
        integers = integers_of(layer.weight.cpu().numpy(), layer.format.shape, layer.format.weight)
        layer.integers = torch.from_numpy(integers).to(x.device)
        layer.weight, layer.engine = None, self.torch
        return self.torch.linear(layer, x)


def codes_of(integers: Integers, fmt: WeightFormat) -> Any:
    """Convert integers (outputs, inputs) of 1 or 2 bits to the bytes of native.cpp, in one dimension."""
    (outputs, inputs), steps = integers.shape, 8 // fmt.bits
    factor, offset = _line(fmt)
    codes = integers.view(np.uint8) + np.uint8(offset)
    codes = np.pad(codes >> 1 if factor == 2 else codes, ((0, -outputs % PANEL), (0, -inputs % (steps * QUAD))))
    parts = codes.reshape(-1, PANEL, codes.shape[1] // (steps * QUAD), steps, QUAD).transpose(0, 2, 1, 4, 3)
    return np.bitwise_or.reduce(parts << _shifts(fmt.bits), -1).reshape(-1)


def integers_of(codes: Any, shape: tuple[int, int], fmt: WeightFormat) -> Integers:
    """Convert the bytes of native.cpp back to int8 (outputs, inputs)."""
    steps, (factor, offset) = 8 // fmt.bits, _line(fmt)
    groups = -(-shape[1] // (steps * QUAD))
    parts = codes.reshape(-1, groups, PANEL, QUAD, 1) >> _shifts(fmt.bits) & (2**fmt.bits - 1)
    unsigned = parts.transpose(0, 2, 1, 4, 3).reshape(-1, groups * steps * QUAD)[: shape[0], : shape[1]]
    return np.ascontiguousarray((unsigned * factor).astype(np.int8) - np.int8(offset))


def _line(fmt: WeightFormat) -> tuple[int, int]:
    """Factor and offset that make a weight of its code: factor * code - offset."""
    if fmt.is_odd:
        return 2, 3
    return (2, 1) if fmt.bits == 1 else (1, 1)


def _shifts(bits: int) -> Any:
    """The position of each quad's code within a byte of its group."""
    return np.arange(0, 8, bits, dtype=np.uint8)


def _repacked(layer: PackedLinear) -> Tensor:
    """The file's bytes in the layout of native.cpp; converted a few panels at a time to save memory."""
    assert layer.weight is not None and layer.format.weight is not None
    (_, columns), fmt = layer.format.shape, layer.format.weight
    rows = layer.weight.reshape(-1, layer.format.row_bytes)
    step = max(2**18 // columns // PANEL, 1) * PANEL
    parts = [codes_of(layer.format.unpack(part).numpy(), fmt) for part in rows.split(step)]
    return torch.from_numpy(np.concatenate(parts))


def _keep_freed_memory() -> None:
    """Make glibc keep up to 64 MB for the next batch; otherwise new pages take a seventh to a third of the time.

    glibc does so once a block of 32 MB has been freed, unless MALLOC_TRIM_THRESHOLD_ or the like are set. The block is
    never written to, so it takes no memory.
    """
    torch.empty(2**25 - 2**16, dtype=torch.uint8, device=CPU)


@cache
def _library() -> Any:
    return native_build.open_library(native_build.library_path())
