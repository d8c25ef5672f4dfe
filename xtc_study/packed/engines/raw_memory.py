"""Convert tensors to the type and device that compiled loops expect of raw memory, or refuse them.

``model.half()`` and ``model.double()`` change scales and biases, and ``model.type()`` even the packed bytes; torch's
default type and device apply to every tensor that does not name its own.
"""

from __future__ import annotations

import torch
from torch import Tensor

CPU = torch.device("cpu")


def floats(x: Tensor) -> Tensor:
    """Return x itself, or a contiguous float32 copy on the CPU."""
    if x.dtype == torch.float32 and x.is_cpu and x.is_contiguous():  # skips torch calls, which take a microsecond each
        return x
    return x.to(CPU, torch.float32).contiguous()


def inputs(x: Tensor, columns: int) -> Tensor:
    """Return x (..., columns) as ``floats`` does.

    Raises:
        ValueError: x has another number of features.
    """
    if x.shape[-1] != columns:
        raise ValueError(f"input of shape {list(x.shape)}: expected {columns} features")
    return floats(x)


def packed_bytes(weight: Tensor) -> Tensor:
    """Return packed weights unchanged.

    Raises:
        ValueError: they are no longer bytes.
    """
    if weight.dtype != torch.uint8:
        raise ValueError(
            f"packed weights are {weight.dtype}, expected torch.uint8: model.type() changed them; load the folder "
            "again, and convert other tensors with model.to()"
        )
    return weight


def results(*shape: int) -> Tensor:
    """Return an uninitialised float32 tensor for a loop to write to."""
    return torch.empty(shape, dtype=torch.float32, device=CPU)
