"""Activation quantizers: convert the input of a low-bit linear to integers times one scale per token or tensor.

Symmetric: with L = 2^(b-1) - 1, integers in [-L, L] and scale = max|x| / L, as in the co-author's slides of the XTC
paper. The released code (DeepSpeed) divides by 2^(b-1) and clips what rounds to +2^(b-1): its steps are finer, and
only the largest positive numbers lose accuracy. At 4 bits that is the better trade-off: our mean squared error divided
by theirs, one scale per token, is 1.29 on Gaussian inputs 768 wide, 1.27 on 312, 1.14 on GELU's outputs 3,072 wide,
1.29 to 1.30 with an outlier of 12 standard deviations, and 0.95 on probabilities. At 8 bits it is 0.87 to 1.02; at 2
bits, 3.0. So 4-bit results here are at a disadvantage against the released code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

STATIC_MOMENTUM = 0.95
"""Share of the old range that a static quantizer keeps at each training step (released XTC code)."""


@dataclass(frozen=True)
class ActivationFormat:
    """The format to which the input of a linear is quantised.

    Raises:
        ValueError: an invalid value; the message names it.
    """

    bits: int = 8
    """2 to 8."""
    scale: str = "token"
    """One scale per ``token`` (last dimension) or ``tensor``."""
    static: bool = False
    """Whether the range is learned in training and then fixed."""

    def __post_init__(self) -> None:
        if type(self.bits) is not int or not 2 <= self.bits <= 8:
            raise ValueError(f"activation bits={self.bits!r}: expected 2 to 8, a whole number")
        if self.scale not in ("token", "tensor"):
            raise ValueError(f"activation scale={self.scale!r}: expected 'token' or 'tensor'")
        if type(self.static) is not bool:
            raise ValueError(f"activation static={self.static!r}: expected True or False")
        if self.static and self.scale == "token":
            raise ValueError(
                "a static range needs scale='tensor', because it cannot know the tokens of a new sentence"
            )

    @property
    def largest(self) -> int:
        """The largest integer, 2^(bits-1) - 1."""
        return int(2 ** (self.bits - 1)) - 1


class QuantizedActivation(NamedTuple):
    """``integers``: shape of x, integers as float32; ``scale``: (..., 1) per token, () per tensor.

    For an input left in full precision, ``integers`` is the input and scale is None.
    """

    integers: Tensor
    scale: Tensor | None


def quantize_activation(x: Tensor, fmt: ActivationFormat, limit: Tensor | None = None) -> QuantizedActivation:
    """Return integers and scale of x, shape (..., features).

    Args:
        x: of any dtype.
        fmt: bits and scale.
        limit: the largest magnitude to represent, shape (); None takes it from x (dynamic).
    """
    x = x.detach().float()
    if limit is None:
        magnitude = x.abs()
        limit = magnitude.amax(-1, keepdim=True) if fmt.scale == "token" else magnitude.amax()
    scale = limit / fmt.largest
    step = torch.where(scale > 0, scale, 1.0)
    return QuantizedActivation((x / step).round_().clamp_(-fmt.largest, fmt.largest), scale)


class StaticRange(nn.Module):
    """A running mean of max|x| over training batches; fixed in evaluation. Saved with the model as ``limit``.

    DeepSpeed differs: it averages the minimum and the maximum of batches separately and takes the larger magnitude of
    the two means. If the largest magnitude is sometimes positive and sometimes negative, that range is smaller: 2.09
    against 2.31 here after 200 Gaussian batches of 4 x 8.
    """

    limit: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("limit", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Return the limit, shape (). In training mode it first moves towards this batch's maximum."""
        if self.training:
            with torch.no_grad():
                largest = x.detach().abs().amax().float()
                mean = STATIC_MOMENTUM * self.limit + (1 - STATIC_MOMENTUM) * largest
                self.limit.copy_(torch.where(self.limit > 0, mean, largest))
        return self.limit
