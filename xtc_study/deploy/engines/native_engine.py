"""The fastest engine on a CPU, once built: weights stay 1 or 2 bits in memory, all of a linear is one call of C++.

Layers this does not suit (3 to 8 bits, groups of weights, inputs left in full precision, other devices) go to the
torch engine.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xtc_study.deploy.engines import native_build
from xtc_study.deploy.engines.torch_engine import TorchEngine
from xtc_study.deploy.packed_layers import PackedLinear
from xtc_study.deploy.packing import Integers

PANEL, VECTOR, QUAD = 32, 16, 4
"""Outputs in a panel and in a vector, inputs in a quad: the layout that native.cpp describes."""


class NativeEngine:
    """Weights of 1 and 2 bits with one scale a tensor or row, and quantised inputs, on a CPU."""

    name = "native"

    def __init__(self) -> None:
        _library()  # what does not load is an error now, not in the middle of an answer
        self.torch = TorchEngine()

    def prepare(self, layer: PackedLinear) -> None:
        form = layer.entry.weight
        suits = (
            form is not None
            and form.bits in (1, 2)
            and layer.entry.scale_shape[1] == 1
            and layer.entry.activation is not None
            and layer.weight is not None
            and layer.weight.device.type == "cpu"
        )
        if not suits:
            self.torch.prepare(layer)
            layer.engine = self.torch
        else:
            layer.weight = _packed_anew(layer)

    def linear(self, layer: PackedLinear, x: Tensor) -> Tensor:
        entry, weight, scale = layer.entry, layer.weight, layer.weight_scale
        assert entry.weight is not None and entry.activation is not None and weight is not None and scale is not None
        if x.device.type != "cpu" or weight.device.type != "cpu":
            return self._elsewhere(layer, x)
        outputs, columns = entry.shape
        if x.shape[-1] != columns:
            raise ValueError(f"input of shape {list(x.shape)}: expected {columns} features")
        flat, scale = _floats(x.detach()), _floats(scale)
        bias = None if layer.bias is None else _floats(layer.bias)
        limit = -1.0  # each row's own
        if layer.input_range is not None:
            limit = float(layer.input_range.limit)
        elif entry.activation.scale == "tensor":
            limit = float(flat.abs().amax())
        y = torch.empty(*x.shape[:-1], outputs)
        _library().xtc_linear(
            entry.weight.bits,
            flat.data_ptr(),
            flat.numel() // columns,
            columns,
            weight.data_ptr(),
            outputs,
            scale.data_ptr(),
            scale.numel() == 1,
            None if bias is None else bias.data_ptr(),
            entry.activation.largest,
            limit,
            y.data_ptr(),
            torch.get_num_threads(),
        )
        return y

    def _elsewhere(self, layer: PackedLinear, x: Tensor) -> Tensor:
        """A model loaded on the CPU and moved: unpack for good, then the torch engine."""
        assert layer.weight is not None and layer.entry.weight is not None
        words = layer.weight.cpu().numpy().view(np.uint8)
        integers = integers_of(words, layer.entry.shape, layer.entry.weight.bits)
        layer.integers = torch.from_numpy(integers).to(x.device)
        layer.weight, layer.engine = None, self.torch
        return self.torch.linear(layer, x)


def words_of(integers: Integers, bits: int) -> Any:
    """-1, 0, 1 (outputs, inputs) to the words of native.cpp, as bytes, one dimension."""
    (outputs, inputs), codes = integers.shape, integers.view(np.uint8) + np.uint8(1)
    codes = np.pad(codes >> 1 if bits == 1 else codes, ((0, -outputs % PANEL), (0, -inputs % QUAD)))
    planes = np.stack([codes >> bit & 1 for bit in range(bits)])
    parts = planes.reshape(bits, -1, PANEL // VECTOR, VECTOR, codes.shape[1] // QUAD, QUAD)
    return np.packbits(parts.transpose(1, 4, 2, 0, 3, 5), bitorder="little")


def integers_of(words: Any, shape: tuple[int, int], bits: int) -> Integers:
    """The words back to int8 (outputs, inputs)."""
    quads = -(-shape[1] // QUAD)
    parts = np.unpackbits(words, bitorder="little").reshape(-1, quads, PANEL // VECTOR, bits, VECTOR, QUAD)
    planes = parts.transpose(3, 0, 2, 4, 1, 5).reshape(bits, -1, quads * QUAD)[:, : shape[0], : shape[1]]
    codes = planes[0] * np.uint8(2) if bits == 1 else planes[0] + (planes[1] << 1)
    return np.ascontiguousarray(codes.astype(np.int8) - np.int8(1))


def _packed_anew(layer: PackedLinear) -> Tensor:
    """The file's bytes in the layout of native.cpp; some panels at a time, to take little memory."""
    assert layer.weight is not None and layer.entry.weight is not None
    (_, columns), bits = layer.entry.shape, layer.entry.weight.bits
    rows = layer.weight.reshape(-1, layer.entry.row_bytes)
    step = max(2**18 // columns // PANEL, 1) * PANEL
    parts = [words_of(layer.entry.unpack(part).numpy(), bits) for part in rows.split(step)]
    return torch.from_numpy(np.concatenate(parts).view(np.int64))


def _floats(x: Tensor) -> Tensor:
    """x itself, or a float32 copy without gaps: C++ reads raw memory."""
    return x.to(torch.float32).contiguous()


@cache
def _library() -> Any:
    return native_build.open_library(native_build.library_path())
