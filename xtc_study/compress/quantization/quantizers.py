"""Weight quantizers: convert a float matrix to small integers and scales, ``weight ~ scale * integers``.

Sources: binary and ternary rules as in Ternary Weight Networks (Li et al. 2016) and the XTC paper (Wu et al. 2022),
symmetric k-bit as in TernaryBERT (Zhang et al. 2020), two bits without a zero as in ParetoQ (Liu et al. 2025, arXiv
2502.02631). Two choices are ours: the sign of 0 is +1, so that one bit stores every weight, and a group of zeros is
valid (its scale is 0; DeepSpeed's is NaN).

Other implementations differ further. BiT (Liu et al. 2022) subtracts a matrix's mean before it takes the signs.
DeepSpeed uses all 2^b integers of 3 to 8 bits and the scale max|w| / 2^(b-1), while TernaryBERT and this file omit
-2^(b-1); its ``num_groups`` cut the flattened matrix, which equals ``group:N`` only if N times their number is its
size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from xtc_study.granularity import Granularity

TERNARY_THRESHOLD = 0.7
"""Weights up to this share of the mean magnitude become 0 (Ternary Weight Networks, eq. 6)."""
ODD_SHARE = 0.624
"""Scale of the integers -3, -1, 1, 3 as a share of the mean magnitude. It has the smallest squared error on normally
distributed weights: four evenly spaced levels are then 0.9957 standard deviations apart (Max 1960, table II), which is
two scales, and the mean magnitude is sqrt(2 / pi) standard deviations."""
LEVELS = ("ternary", "odd")


@dataclass(frozen=True)
class WeightFormat:
    """The format to which a weight matrix (rows, columns) is quantised.

    Args:
        bits: 1 binary, 2 ternary, 3 to 8 symmetric integers.
        granularity: which weights share a scale. ``tensor``: all, scale (1, 1). ``row``: each row, scale (rows, 1).
            ``group:N``: N neighbours in a row, scale (rows, columns / N).
        clip: weights are clamped to +-clip first and get no gradient outside; None does not clamp.
        levels: the integers of 2 bits. ``ternary``: -1, 0, 1. ``odd``: -3, -1, 1, 3. Other bits have one set only.
        learned: whether training learns the scales, from the rule's on (``learned_scale``).

    Raises:
        ValueError: an invalid value; the message names it.
    """

    bits: int
    granularity: str = "tensor"
    clip: float | None = None
    levels: str = "ternary"
    learned: bool = False

    def __post_init__(self) -> None:
        if type(self.bits) is not int or not 1 <= self.bits <= 8:
            raise ValueError(f"bits={self.bits!r}: expected 1 (binary), 2 (ternary) or 3 to 8, a whole number")
        Granularity.parse(self.granularity)
        if self.clip is not None and not (
            isinstance(self.clip, int | float) and type(self.clip) is not bool and 0 < self.clip < math.inf
        ):
            raise ValueError(f"clip={self.clip!r}: expected a number above 0, or None for no clipping")
        if self.levels not in LEVELS:
            raise ValueError(f"levels={self.levels!r}: expected one of {', '.join(LEVELS)}")
        if self.learned and self.clip is not None:
            raise ValueError(f"clip={self.clip!r}: a learned scale has a range of its own; leave the clip out")

    @property
    def largest(self) -> int:
        """The largest integer of this format."""
        return 3 if self.is_odd else largest_integer(self.bits)

    @property
    def is_odd(self) -> bool:
        """Whether the integers are -3, -1, 1, 3."""
        return self.bits == 2 and self.levels == "odd"


class Quantized(NamedTuple):
    """``integers`` has the weight's shape and contains integers; ``scale`` is (1 or rows, groups per row), float32."""

    integers: Tensor
    scale: Tensor


def largest_integer(bits: int) -> int:
    """Return the largest integer of ``bits`` bits around zero: 1 for binary and ternary, else 2^(bits-1) - 1."""
    return 1 if bits <= 2 else int(2 ** (bits - 1)) - 1


def grouped(weight: Tensor, granularity: str) -> Tensor:
    """Return a (rows, groups, members) view whose last dimension shares one scale.

    Raises:
        ValueError: an unknown granularity, or a number of columns that groups of N do not divide.
    """
    rows, groups = Granularity.parse(granularity).scale_shape(*weight.shape)
    return weight.reshape(rows, groups, weight.numel() // (rows * groups))


def binary(groups: Tensor, dtype: torch.dtype = torch.float32) -> Quantized:
    """Quantise to scale = mean|w| of the group, integer = sign(w) with sign(0) = +1."""
    scale = groups.abs().sum(-1) / groups.shape[-1]
    # Several times faster than comparing with 0 and converting. Adding 0 turns -0.0 into 0.0, whose sign is +1.
    return Quantized(torch.copysign(groups.new_ones((), dtype=dtype), groups.to(dtype) + 0), scale)


def ternary(groups: Tensor, dtype: torch.dtype = torch.float32) -> Quantized:
    """Quantise to integer = sign(w) where |w| > 0.7 mean|w|, else 0; scale = mean|w| of the weights that are not 0.

    The scale is NaN if mean|w| is not finite.
    """
    magnitude = groups.abs()
    threshold = TERNARY_THRESHOLD * magnitude.mean(-1, keepdim=True)
    kept = magnitude.clone().gt_(threshold)  # 0 and 1 as floats, which saves converting booleans
    scale = magnitude.mul_(kept).sum(-1) / kept.sum(-1).clamp(min=1)
    # No weight exceeds a threshold of NaN, so the group would look like zeros. For finite thresholds this adds 0.
    scale = scale + (threshold - threshold).squeeze(-1)
    return Quantized(torch.copysign(kept, groups).add_(0).to(dtype), scale)


def symmetric(groups: Tensor, largest: int, dtype: torch.dtype = torch.float32) -> Quantized:
    """Quantise to scale = max|w| / largest, integer = round(w / scale); no weight is clipped."""
    scale = groups.abs().amax(-1) / largest
    step = torch.where(scale > 0, scale, 1.0).unsqueeze(-1)
    return Quantized((groups / step).round_().clamp_(-largest, largest).to(dtype), scale)


def odd(groups: Tensor, dtype: torch.dtype = torch.float32) -> Quantized:
    """Quantise to scale = 0.624 mean|w|, integer = the one of -3, -1, 1, 3 nearest to w / scale."""
    scale = ODD_SHARE * groups.abs().mean(-1)
    step = torch.where(scale > 0, scale, 1.0).unsqueeze(-1)
    return Quantized(odd_integers(groups / step).to(dtype), scale)


def odd_integers(scaled: Tensor) -> Tensor:
    """Round to -3, -1, 1 or 3: between two of these upwards, so that 0 becomes 1 as for one bit."""
    return scaled.div(2).floor_().mul_(2).add_(1).clamp_(-3, 3)


def quantize_weight(weight: Tensor, fmt: WeightFormat, dtype: torch.dtype = torch.float32) -> Quantized:
    """Return the integers and scales of a weight matrix (rows, columns).

    A group with a weight that is not finite, or (1 and 2 bits) whose magnitudes sum beyond float32, gets a scale that
    is not finite: NaN or infinity. Nothing is checked here, because on a GPU a check waits for the device; ``freeze``
    checks.

    Args:
        weight: (rows, columns).
        fmt: how to quantise it.
        dtype: of the integers; bfloat16 also holds them exactly, in half the memory.
    """
    integers, scale = quantize_groups(grouped(weight.detach().float(), fmt.granularity), fmt, dtype)
    return Quantized(integers.reshape(weight.shape), scale)


def quantize_groups(groups: Tensor, fmt: WeightFormat, dtype: torch.dtype = torch.float32) -> Quantized:
    """Return the integers (..., members) and scales (...) of groups of weights (..., members), float32.

    Args:
        groups: each last dimension shares a scale.
        fmt: bits, levels and clip.
        dtype: of the integers.
    """
    if fmt.clip is not None:
        groups = groups.clamp(-fmt.clip, fmt.clip)
    if fmt.bits == 1:
        return binary(groups, dtype)
    if fmt.bits == 2:
        return odd(groups, dtype) if fmt.is_odd else ternary(groups, dtype)
    return symmetric(groups, fmt.largest, dtype)


def dequantize(quantized: Quantized) -> Tensor:
    """Return the float matrix that the integers and scales stand for."""
    integers, scale = quantized
    rows, groups = scale.shape
    if rows == 1 and groups == 1:
        return integers * scale
    return (integers.reshape(rows, groups, -1) * scale.unsqueeze(-1)).reshape(integers.shape)
