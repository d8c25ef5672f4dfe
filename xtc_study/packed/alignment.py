"""Align loaded weights in memory, because the last bit of a product with one output depends on their address.

torch computes a product with a single output by a matrix-vector routine, which sums in another order if the weight
does not begin at a multiple of the register width (seen with torch 2.13 on a CPU: twelve of the sixteen positions in a
cache line gave another last bit). A tensor read from the middle of a file may begin anywhere; a tensor that torch
allocates, such as every trained student's, begins at a multiple of 64 bytes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

CACHE_LINE = 64
"""Bytes."""


@torch.no_grad()
def align(model: Any) -> None:
    """Copy unaligned weights of plain linears to memory that torch allocates; the values do not change."""
    for module in model.modules():
        if isinstance(module, nn.Linear) and module.weight.data_ptr() % CACHE_LINE:
            module.weight.data = module.weight.data.clone()
