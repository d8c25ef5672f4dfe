"""Multiply int8 matrices with an exact int32 result, through ``torch._int_mm``, padded to the shapes it accepts."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

CUDA_ROWS, CUDA_MULTIPLE = 17, 8
"""On CUDA ``_int_mm`` requires more than 16 rows, and inner and outer dimensions that are multiples of 8."""


def int8_matmul(q: Tensor, weights: Tensor) -> Tensor:
    """Multiply q (M, K) int8 with transposed weights (N, K) int8; the result (M, N) int32 is exact."""
    if q.device.type == "cuda":
        return padded_int_mm(q, weights, CUDA_ROWS, CUDA_MULTIPLE)
    if q.shape[-1] == 1:  # torch 2.13 on a CPU mistakes the layout of a transposed matrix of one column
        return padded_int_mm(q, weights, 0, 2)
    return torch._int_mm(q, weights.t())


def padded_int_mm(q: Tensor, weights: Tensor, rows: int, multiple: int) -> Tensor:
    """Compute the same product, padded with zeros to at least ``rows`` rows and to multiples of ``multiple``."""
    (m, k), n = q.shape, len(weights)
    inner, outer, below = -k % multiple, -n % multiple, max(rows - m, 0)
    if inner or below:  # F.pad copies even where it adds nothing
        q = F.pad(q, (0, inner, 0, below))
    if inner or outer:
        weights = F.pad(weights, (0, inner, 0, outer))
    return torch._int_mm(q.contiguous(), weights.contiguous().t())[:m, :n]


@cache
def has_exact_int8(device: str) -> bool:
    """Return whether ``_int_mm`` exists on this kind of device and gives exact sums for the largest values."""
    if device not in ("cpu", "cuda"):
        return False
    try:
        q = torch.full((32, 64), 127, dtype=torch.int8, device=device)
        weights = torch.cat([q, -q])
        expected = torch.cat([q.int(), -q.int()]).sum(1) * 127
        return bool((int8_matmul(q, weights) == expected).all())
    except (AttributeError, RuntimeError):
        return False
