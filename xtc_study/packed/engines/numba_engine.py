"""The fast engine on a CPU without a compiler: weights keep 1 or 2 bits in memory, products use ``_int_mm``.

Each call unpacks a linear's weights into one int8 scratch matrix that all layers share: for BERT-base it takes 2.4 MB
and stays in the cache. Unsupported layers (3 to 8 bits, groups of weights, full-precision inputs, other devices) use
the torch engine.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xtc_study.compress.quantization.input_norm import EPSILON
from xtc_study.packed import base3
from xtc_study.packed.engines import numba_kernels as kernels
from xtc_study.packed.engines.int8 import has_exact_int8
from xtc_study.packed.engines.openmp import openmp
from xtc_study.packed.engines.raw_memory import CPU, floats, inputs, packed_bytes, results
from xtc_study.packed.engines.torch_engine import TorchEngine
from xtc_study.packed.layers import PackedLinear

loops: Any = None
if openmp() is not None:
    from xtc_study.packed.engines import numba_threads as loops

CHUNK = 1024
"""Number of rows computed together, so that their sums stay in the cache."""
WORTH_THREADS = 2**15
"""Minimum amount of numbers for which a loop is divided among threads."""

_own = threading.local()
"""Each thread's scratch matrix."""


class NumbaEngine:
    """For weights of 1 and 2 bits with one scale per tensor or row, and quantised inputs, on a CPU."""

    name = "numba"

    def __init__(self) -> None:
        self.torch = TorchEngine()

    def prepare(self, layer: PackedLinear) -> None:
        fmt, columns = layer.format.weight, layer.format.shape[1]
        bits = fmt.bits if fmt is not None else 0
        suits = (
            bits in kernels.WEIGHTS_PER_BYTE
            and columns % kernels.WEIGHTS_PER_BYTE[bits] == 0
            and layer.format.scale_shape[1] == 1
            and layer.format.activation is not None
            and layer.weight is not None
            and layer.weight.device.type == "cpu"
            and has_exact_int8("cpu")
        )
        if not suits:
            self.torch.prepare(layer)
            layer.engine = self.torch
        elif fmt is not None and bits == 2 and not fmt.is_odd:
            layer.weight = _two_bits(layer)

    def linear(self, layer: PackedLinear, x: Tensor) -> Tensor:
        if x.device.type != "cpu":
            return self._elsewhere(layer, x)
        rows, columns = layer.format.shape

        flat = inputs(x.detach(), columns).reshape(-1, columns)
        y = results(len(flat), rows)
        weights = self._unpacked(layer)
        constants = self._levels(layer, flat)
        scale, bias = self._epilogue(layer)

        # A chunk at a time: quantise the inputs, multiply, scale the sums.
        for start in range(0, len(flat), CHUNK):
            part = flat[start : start + CHUNK].numpy()
            q = torch.empty(part.shape, dtype=torch.int8, device=CPU)
            scales = np.empty(len(part), np.float32)
            if threads := _threads(part.size):
                loops.run(loops.quantize_rows, threads, part, constants, q.numpy(), scales, len(part), columns)
            else:
                kernels.quantize_rows(part, *constants, q.numpy(), scales)
            sums = torch._int_mm(q, weights.t()).numpy()
            out = y[start : start + CHUNK].numpy()
            if threads := _threads(out.size):
                loops.run(loops.scale_sums, threads, sums, scale, scales, bias, out, len(part), rows)
            else:
                kernels.scale_sums(sums, scale, scales, bias, out)
        return y.reshape(*x.shape[:-1], rows)

    def _levels(self, layer: PackedLinear, x: Tensor) -> Any:
        """The largest integer of the input, its limit (-1: each row's own maximum) and its norm's epsilon (-1: none).

        float32 (3,).
        """
        fmt = layer.format.activation
        assert fmt is not None
        if layer.input_range is not None:
            limit = float(layer.input_range.limit)
        else:
            limit = -1.0 if fmt.scale == "token" else float(x.abs().amax())
        return np.array([fmt.largest, limit, EPSILON if layer.format.input_norm else -1.0], np.float32)

    def _epilogue(self, layer: PackedLinear) -> tuple[Any, Any]:
        """Weight scale and bias, both (N,)."""
        rows = layer.format.shape[0]
        assert layer.weight_scale is not None
        scale = floats(layer.weight_scale.reshape(-1).expand(rows)).numpy()
        bias = np.zeros(rows, np.float32) if layer.bias is None else floats(layer.bias).numpy()
        return scale, bias

    def _unpacked(self, layer: PackedLinear) -> Tensor:
        """The weights, int8 (N, K), in this thread's scratch: valid until the next call."""
        assert layer.weight is not None and layer.format.weight is not None
        rows, columns = layer.format.shape
        scratch = getattr(_own, "scratch", None)
        if scratch is None or scratch.numel() < rows * columns:
            scratch = _own.scratch = torch.empty(rows * columns, dtype=torch.int8, device=CPU)
        spread, wide = kernels.SPREAD[layer.format.weight.bits, layer.format.weight.is_odd]
        codes, target = packed_bytes(layer.weight).numpy(), scratch[: rows * columns].numpy().view(wide)
        if threads := _threads(rows * columns):
            loops.run(getattr(loops, spread.__name__), threads, codes, target, len(codes))
        else:
            spread(codes, target)
        return scratch[: rows * columns].reshape(rows, columns)

    def _elsewhere(self, layer: PackedLinear, x: Tensor) -> Tensor:
        """Compute a model that was loaded on the CPU and then moved: unpack it for good and use the torch engine."""
        assert layer.weight is not None
        layer.weight = layer.weight.cpu()
        layer.integers = self._unpacked(layer).to(x.device, copy=True)
        layer.weight, layer.engine = None, self.torch
        return self.torch.linear(layer, x)


def _threads(size: int) -> int:
    """Number of threads for a loop over ``size`` numbers; 0: only the current one."""
    threads = torch.get_num_threads()
    return threads if loops is not None and threads > 1 and size >= WORTH_THREADS else 0


def _two_bits(layer: PackedLinear) -> Tensor:
    """The file's five weights per byte as four per byte, which unpack faster; converted a few rows at a time."""
    assert layer.weight is not None
    rows, columns = layer.format.shape
    packed = layer.weight.numpy().reshape(rows, -1)
    codes = np.empty(rows * columns // 4, np.uint8)
    step = max(2**18 // columns, 1)
    for start in range(0, rows, step):
        part = base3.unpack(packed[start : start + step], columns)
        into = codes[start * columns // 4 : (start + len(part)) * columns // 4]
        kernels.pack_two_bits(part.reshape(-1), into)
    return torch.from_numpy(codes)
