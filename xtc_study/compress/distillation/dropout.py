"""Dropout with masks that are cheap on a CPU. Other devices, and evaluation, use torch's own dropout.

Why ``cheap_dropout`` swaps the class of dropout layers instead of replacing the layers: a new layer would lack the old
layer's hooks, and models hold some layers under two names. Both classes have the same state, so swapping back restores
a layer exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def dropout(x: Tensor, probability: float, training: bool) -> Tensor:
    """Set each number of x to zero with ``probability`` and divide the others by 1 - probability, as ``F.dropout``.

    Seeds come from torch's generator, so a seeded or resumed training is reproducible.
    """
    if not training or not 0 < probability < 1 or x.device.type != "cpu":
        return F.dropout(x, probability, training)
    return x * dropout_mask(x.shape, probability).to(x.dtype)


def dropout_mask(shape: torch.Size, probability: float) -> Tensor:
    """Draw a float32 mask: 0 with ``probability`` (to one part in 2^32), else 1 / (1 - probability)."""
    from xtc_study.compress.distillation.dropout_loop import fill_mask

    mask = torch.empty(shape)
    seed, stride = torch.randint(2**32, (2,)).tolist()
    fill_mask(mask.view(-1).numpy(), seed, stride | 1, int(probability * 2**32), 1 / (1 - probability))
    return mask


class _Dropout(nn.Dropout):
    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p, self.training)


@contextmanager
def cheap_dropout(model: nn.Module) -> Iterator[None]:
    """Within the block, the model's dropout layers use these masks."""
    layers = [module for module in model.modules() if type(module) is nn.Dropout]
    try:
        for layer in layers:
            layer.__class__ = _Dropout
        yield
    finally:
        for layer in layers:
            layer.__class__ = nn.Dropout
