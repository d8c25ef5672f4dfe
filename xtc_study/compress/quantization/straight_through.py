"""The straight-through estimator: the forward pass quantises, the backward pass treats that as the identity.

Source: Bengio, Leonard and Courville (2013), arXiv 1308.3432.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class StraightThrough(torch.autograd.Function):
    """``apply(latent, quantized)`` returns ``quantized`` and passes its gradient to ``latent``; shapes are equal."""

    @staticmethod
    def forward(ctx: Any, latent: Tensor, quantized: Tensor) -> Tensor:
        return quantized

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad, None
