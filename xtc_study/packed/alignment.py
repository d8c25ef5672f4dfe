"""Where a loaded weight begins in memory, which a product with one output depends on in its last bit.

torch hands a product with a single output to the processor's matrix-vector routine, and that sums in another order
where the weight does not begin at a multiple of the width of its registers (seen with torch 2.13 on a CPU: of sixteen
places in a cache line twelve gave another last bit). A tensor that was read from the middle of a file begins anywhere;
one that torch allocates begins at a multiple of 64 bytes, as every trained student's does.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

CACHE_LINE = 64
"""Bytes."""


@torch.no_grad()
def align(model: Any) -> None:
    """Copies unaligned weights of plain linears to memory of torch's own, in place; their values stay."""
    for module in model.modules():
        if isinstance(module, nn.Linear) and module.weight.data_ptr() % CACHE_LINE:
            module.weight.data = module.weight.data.clone()
