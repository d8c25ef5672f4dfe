"""What compiled loops read by its address: brought to the type and place they expect, or refused, before they do.

``model.half()`` and ``model.double()`` change scales and biases, and ``model.type()`` even the packed bytes; torch's
default type and device shape whatever tensor does not name its own.
"""

from __future__ import annotations

import torch
from torch import Tensor

CPU = torch.device("cpu")


def floats(x: Tensor) -> Tensor:
    """x itself, or a float32 copy without gaps on the CPU."""
    if x.dtype == torch.float32 and x.is_cpu and x.is_contiguous():  # calls of torch take a microsecond each
        return x
    return x.to(CPU, torch.float32).contiguous()


def inputs(x: Tensor, columns: int) -> Tensor:
    """x (..., columns) as ``floats``.

    Raises:
        ValueError: another number of features.
    """
    if x.shape[-1] != columns:
        raise ValueError(f"input of shape {list(x.shape)}: expected {columns} features")
    return floats(x)


def packed_bytes(weight: Tensor) -> Tensor:
    """Packed weights as they are.

    Raises:
        ValueError: bytes no more.
    """
    if weight.dtype != torch.uint8:
        raise ValueError(
            f"packed weights are {weight.dtype}, expected torch.uint8: model.type() changes them too; load the folder "
            "again, and change the rest with model.to()"
        )
    return weight


def results(*shape: int) -> Tensor:
    """An empty float32 tensor for a loop to write into."""
    return torch.empty(shape, dtype=torch.float32, device=CPU)
