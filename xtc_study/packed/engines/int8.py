"""Products of int8 matrices with an exact int32 result, through ``torch._int_mm`` where its rules allow it."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

CUDA_ROWS, CUDA_MULTIPLE = 17, 8
"""On CUDA ``_int_mm`` wants more than 16 rows, and inner and outer dimensions that are multiples of 8."""


def int8_matmul(q: Tensor, weights: Tensor) -> Tensor:
    """q (M, K) int8 times weights (N, K) int8, transposed: (M, N) int32, exact."""
    if q.device.type == "cuda":
        return padded_int_mm(q, weights, CUDA_ROWS, CUDA_MULTIPLE)
    if q.shape[-1] == 1:  # torch 2.13 on a CPU takes a transposed matrix of one column for another layout
        return padded_int_mm(q, weights, 0, 2)
    return torch._int_mm(q, weights.t())


def padded_int_mm(q: Tensor, weights: Tensor, rows: int, multiple: int) -> Tensor:
    """The same, by way of at least ``rows`` rows and of dimensions that are multiples of ``multiple``: zeros."""
    (m, k), n = q.shape, len(weights)
    inner = -k % multiple
    q = F.pad(q, (0, inner, 0, max(rows - m, 0)))
    weights = F.pad(weights, (0, inner, 0, -n % multiple))
    return torch._int_mm(q.contiguous(), weights.contiguous().t())[:m, :n]


@cache
def has_exact_int8(device: str) -> bool:
    """Whether ``_int_mm`` exists on this kind of device and gives the right sums where they are largest."""
    if device not in ("cpu", "cuda"):
        return False
    try:
        q = torch.full((32, 64), 127, dtype=torch.int8, device=device)
        weights = torch.cat([q, -q])
        expected = torch.cat([q.int(), -q.int()]).sum(1) * 127
        return bool((int8_matmul(q, weights) == expected).all())
    except (AttributeError, RuntimeError):
        return False
