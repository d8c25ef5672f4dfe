"""The straight-through estimator: forward the quantised value, backward as if it were the value itself.

Source: Bengio, Leonard and Courville (2013), arXiv 1308.3432.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class StraightThrough(torch.autograd.Function):
    """``apply(latent, quantised)``: the second, with the gradient of the first. Both of one shape."""

    @staticmethod
    def forward(ctx: Any, latent: Tensor, quantized: Tensor) -> Tensor:
        return quantized

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad, None
