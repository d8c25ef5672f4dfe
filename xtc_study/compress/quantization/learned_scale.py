"""Scales of low-bit weights that training learns, starting from those of the rules (``quantizers``).

One bit has the weight ``scale * sign(w)``, whose derivative in the scale is sign(w): elastic binarisation (BiT, Liu et
al. 2022; ParetoQ, Liu et al. 2025, arXiv 2502.02631). More bits have LSQ's (Esser et al. 2020, arXiv 1902.08153): with
v = w / scale, the integer is ``q = clamp(round(v), -L, L)`` (eq. 1), and the weight ``scale * q`` (eq. 2). Within the
range its derivatives are q - v in the scale (eq. 3) and 1 in w (eq. 5); outside, +-L and 0. The gradient of a scale is
multiplied by 1 / sqrt(N L), where N weights share the scale and L is the largest integer (section 2.2).

The range ends at L for 3 to 8 bits (LSQ), and with 2 bits where the outermost level ends: 1.5 for -1, 0, 1, and 4 for
-3, -1, 1, 3 (ParetoQ's stretched elastic quantiser, whose scale is 1.5 and 4 of ours). ParetoQ's code cuts the range
1 % earlier, also stops one bit's weights at +-scale, and counts in N the whole matrix. Here all of one bit's weights
learn, as without a learned scale: of normal weights 42 % exceed the mean magnitude, and could not change their sign
until the scale has grown past them.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from xtc_study.compress.quantization.quantizers import (
    Quantized,
    WeightFormat,
    grouped,
    odd_integers,
    quantize_weight,
)

SMALLEST = 1e-5
"""A learned scale below this counts as this, so that it stays positive (ParetoQ's code). Its parameter still gets the
gradient, and may rise again."""


def start_scale(weight: Tensor, fmt: WeightFormat | None) -> nn.Parameter | None:
    """Return the parameter that holds a weight's scales, from its rule; None if scales are not learned.

    It has one dimension, because what has two is a matrix to sizes and optimisers.

    Args:
        weight: (rows, columns).
        fmt: how it is quantised; None: in full precision.
    """
    if fmt is None or not fmt.learned:
        return None
    return nn.Parameter(quantize_weight(weight, fmt).scale.clamp(min=SMALLEST).reshape(-1))


@torch.no_grad()
def restart_scale(parameter: Tensor, weight: Tensor, fmt: WeightFormat) -> None:
    """Set learned scales to those of the rule for the weight as it is now, in place.

    Args:
        parameter: from ``start_scale``.
        weight: (rows, columns).
        fmt: how it is quantised.
    """
    if (start := start_scale(weight, fmt)) is not None:
        parameter.copy_(start)


def used_scale(parameter: Tensor) -> Tensor:
    """Return the scales that a parameter stands for, without a gradient: positive, NaN where it is NaN."""
    return parameter.detach().clamp(min=SMALLEST)


def quantize_by_scale(
    weight: Tensor, scale: Tensor, fmt: WeightFormat, dtype: torch.dtype = torch.float32
) -> Quantized:
    """Return the integers of a weight matrix, and its learned scales (1 or rows, groups).

    Args:
        weight: (rows, columns).
        scale: the parameter, one number a scale.
        fmt: how to quantise it.
        dtype: of the integers.
    """
    groups = grouped(weight.detach().float(), fmt.granularity)
    used = used_scale(scale).reshape(groups.shape[:2])
    return Quantized(integers_of(groups, used, fmt).to(dtype).reshape(weight.shape), used)


def integers_of(groups: Tensor, scale: Tensor, fmt: WeightFormat) -> Tensor:
    """Return the integers of groups of weights (..., members), as floats, with given positive scales (...)."""
    if fmt.bits == 1:
        return torch.copysign(groups.new_ones(()), groups + 0)  # adding 0 turns -0.0 into 0.0, whose sign is +1
    return _rounded(groups / scale.unsqueeze(-1), fmt)


def _rounded(scaled: Tensor, fmt: WeightFormat) -> Tensor:
    return odd_integers(scaled) if fmt.is_odd else scaled.round().clamp_(-fmt.largest, fmt.largest)


def reach(fmt: WeightFormat) -> float:
    """Return up to how many scales from zero a weight gets a gradient."""
    if fmt.bits == 1:
        return math.inf
    if fmt.bits == 2:
        return 4.0 if fmt.is_odd else 1.5
    return float(fmt.largest)


class ThroughScale(torch.autograd.Function):
    """``apply(groups, scale, fmt)`` returns the weights (..., members) as they are.

    The gradient that comes back is that of the quantised weights; from it follow those of weights and scales (...).
    """

    @staticmethod
    def forward(ctx: Any, groups: Tensor, scale: Tensor, fmt: WeightFormat) -> Tensor:
        ctx.save_for_backward(groups, scale)
        ctx.fmt = fmt
        return groups.view_as(groups)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        (groups, scale), fmt = ctx.saved_tensors, ctx.fmt
        balance = 1 / math.sqrt(groups.shape[-1] * fmt.largest)
        used = used_scale(scale)
        if fmt.bits == 1:
            return grad, (grad * integers_of(groups, used, fmt)).sum(-1) * balance, None

        scaled = groups / used.unsqueeze(-1)
        integers, inside = _rounded(scaled, fmt), scaled.abs() < reach(fmt)
        of_scale = (grad * (integers - scaled * inside)).sum(-1) * balance
        return grad * inside, of_scale, None
