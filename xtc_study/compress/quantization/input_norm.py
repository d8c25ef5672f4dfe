"""A norm without parameters before low-bit linears: each token is divided by its own root mean square.

RMSNorm (Zhang and Sennrich 2019, arXiv 1910.07467) without its gain; BitNet and its successors put a norm before every
quantised projection. It is blended in while training begins, since a norm inserted at once destroys a trained model:

    x' = (1 - share) x + share x / rms(x) = f x,    f = (1 - share) + share / rms(x)

f is one number a token. With one scale a token, the integers of x' are therefore those of x, and only the scale
changes, from s to s f. The norm is taken of the rounded input, q s: rms = sqrt((s s) (sum of q^2 / width) + EPSILON).
The sum is one of whole numbers, so that every device and engine gets the same bits, in whatever order it adds.

An input in full precision has no integers; its own mean square is taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from xtc_study.compress.quantization.integer_first import EXACT

EPSILON = 1e-6
"""Added to the mean square; RMSNorm's usual value. A token of zeros stays zero."""
RMS = "rms"
"""The norm's name in recipes and files."""


class InputNorm:
    """The norm of a student's low-bit linears; one object serves all of them, so that they share normalised inputs."""

    def __init__(self) -> None:
        self.share: Tensor | None = None
        """() float32 on the model's device, 0 to 1, while the norm is blended in; None: 1."""


class Normalized(NamedTuple):
    """What a norm did to an input (..., in); both (..., 1), float32."""

    factor: Tensor
    """f: the input is multiplied by it."""
    slope: Tensor
    """share / (width rms^3 f^2), for the gradient."""


def sum_of_squares(integers: Tensor, largest: int) -> Tensor:
    """Return the sum of squares of each token, (..., 1) float32: exact, then rounded once.

    Args:
        integers: (..., in), whole numbers as float32.
        largest: the largest magnitude among them.
    """
    squares = integers.square()
    size = EXACT // largest**2  # so many squares sum to at most 2^24, exactly in any order
    if size >= squares.shape[-1]:
        return squares.sum(-1, keepdim=True)
    parts = [part.sum(-1, keepdim=True).to(torch.int64) for part in squares.split(size, -1)]
    return torch.cat(parts, -1).sum(-1, keepdim=True).to(torch.float32)


def normalized_integers(integers: Tensor, scale: Tensor, largest: int, share: Tensor | None = None) -> Normalized:
    """Return the norm of a quantised input.

    Args:
        integers: (..., in), whole numbers as float32.
        scale: (..., 1), one for each token.
        largest: the largest magnitude that the integers may have.
        share: how much of the norm is blended in, (); None: all of it.
    """
    width = integers.shape[-1]
    return _normalized(scale * scale * (sum_of_squares(integers, largest) / width), width, share)


def normalized_input(x: Tensor, share: Tensor | None = None) -> Normalized:
    """Return the norm of an input in full precision.

    Args:
        x: (..., in), float32.
        share: as in ``normalized_integers``.
    """
    return _normalized(x.square().mean(-1, keepdim=True), x.shape[-1], share)


def _normalized(mean_square: Tensor, width: int, share: Tensor | None) -> Normalized:
    rms = _root(mean_square + EPSILON)
    factor, slope = rms.reciprocal(), rms.reciprocal()
    if share is not None:
        factor, slope = (1 - share) + share * factor, share * slope
    return Normalized(factor, slope / (width * (rms * factor).square()))


def _root(x: Tensor) -> Tensor:
    """Return the correctly rounded square root of float32 numbers, which a compiled engine computes too.

    MKL's float32 roots, which torch takes on a CPU, err in the last bit; those of float64 err too little to matter.
    """
    if x.device.type == "mps":  # no float64; no engine computes on it but torch's own
        return x.sqrt()
    return x.double().sqrt().float()


def gradient_before(grad: Tensor, value: Tensor, normalized: Normalized) -> Tensor:
    """Return the gradient of a norm's input from that of its output, (..., in) float32.

    With x' = f x: dL/dx = f g - share x (g . x) / (width rms^3). The rounded input stands for x, as in the rest of the
    backward pass, and value / f for it.

    Args:
        grad: g, the gradient of the output (..., in).
        value: the output x', (..., in).
        normalized: what the norm did.
    """
    grad, value = grad.float(), value.float()
    along = (grad * value).sum(-1, keepdim=True)
    return grad * normalized.factor - value * (along * normalized.slope)


def input_norms(model: nn.Module) -> list[InputNorm]:
    """Return the norms of a model's low-bit linears, each once."""
    found = (getattr(module, "input_norm", None) for module in model.modules())
    return list({id(norm): norm for norm in found if isinstance(norm, InputNorm)}.values())


@contextmanager
def blended(model: nn.Module, device: torch.device | str) -> Iterator[Tensor]:
    """Within the block, the model's norms are blended in by the share that is yielded, () float32, at first 0."""
    share, norms = torch.zeros((), device=device), input_norms(model)
    for norm in norms:
        norm.share = share
    try:
        yield share
    finally:
        for norm in norms:
            norm.share = None
