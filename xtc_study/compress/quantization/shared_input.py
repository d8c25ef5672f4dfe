"""Quantise the input of linears. Queries, keys and values read one tensor, which is quantised once for all three.

Why the quantised tensor is not passed along: transformers' own attention code calls the three linears; it handles only
plain tensors and differs by family. So the result is cached per thread, by tensor and version. The cache lives for one
forward pass of the block that contains these linears: a tensor may change without a new version, through ``x.data`` or
a numpy view of its memory, but not while such a block computes.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, wraps
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from xtc_study.compress.quantization.activations import ActivationFormat, quantize_activation
from xtc_study.compress.quantization.input_norm import InputNorm, Normalized, normalized_input, normalized_integers


class LinearInput(NamedTuple):
    """The input of a low-bit linear, in the dtype of its arithmetic and the shape of the input (..., in)."""

    integers: Tensor
    """Integers; the input itself if it is not quantised."""
    scale: Tensor | None
    """(..., 1) per token, () per tensor, float32; None if the input is not quantised."""
    value: Tensor
    """integers * scale, the rounded input. The backward pass needs it."""
    normalized: Normalized | None = None
    """What a norm did to it, which the backward pass needs too; None without a norm."""


class _Last(threading.local):
    """The last input that this thread quantised."""

    blocks: int = 0
    """Number of nested blocks that the forward pass is inside of."""
    source: weakref.ref[Tensor] | None = None
    key: tuple[object, ...] = ()
    result: LinearInput | None = None


_last = _Last()


@contextmanager
def one_pass() -> Iterator[None]:
    """Within the block, an input that several linears read is quantised once."""
    _enter()
    try:
        yield
    finally:
        _leave()


def share_inputs(block: nn.Module) -> None:
    """Make each forward pass of this module a ``one_pass``.

    This changes the module's class instead of adding hooks: PyTorch calls a forward hook after an error, but not after
    Ctrl-C. The new class keeps the name and is a subclass, so that transformers still recognises the module.
    """
    block.__class__ = _sharing(type(block))  # type: ignore[arg-type]  # to mypy a class is not hashable


@cache
def _sharing(kind: type[nn.Module]) -> type[nn.Module]:
    """The subclass whose forward pass is a ``one_pass``; such a class itself is returned unchanged."""
    if hasattr(kind, "shares_inputs"):
        return kind
    plain_forward = kind.forward

    @wraps(plain_forward)
    def forward(self: nn.Module, *inputs: Any, **named: Any) -> Any:
        _enter()
        try:
            return plain_forward(self, *inputs, **named)
        finally:
            _leave()

    attributes = {"__module__": kind.__module__, "__doc__": kind.__doc__, "forward": forward, "shares_inputs": True}
    return type(kind.__name__, (kind,), attributes)


def _enter() -> None:
    _last.blocks += 1
    _forget()


def _leave() -> None:
    _last.blocks -= 1
    _forget()


def _forget() -> None:
    _last.source, _last.key, _last.result = None, (), None


def linear_input(
    x: Tensor,
    fmt: ActivationFormat | None,
    dtype: torch.dtype,
    limit: Tensor | None,
    norm: InputNorm | None = None,
) -> LinearInput:
    """Quantise and normalise x (..., in), without a gradient.

    Within ``one_pass``, a second call with the same tensor and format returns the first call's result. Only the last
    input is cached, so at most one is kept longer than needed.

    Args:
        x: the input.
        fmt: how to quantise it; None leaves it in full precision.
        dtype: of the linear's arithmetic.
        limit: as in ``quantize_activation``; if given, nothing is shared, because each layer learns its own.
        norm: needs one scale per token, or none; None does not normalise.
    """
    if not _last.blocks or limit is not None or x.is_inference():  # an inference tensor has no version
        return _quantized(x, fmt, dtype, limit, norm)
    key = (x._version, fmt, dtype, norm)
    if _last.result is not None and _last.source is not None and _last.source() is x and _last.key == key:
        return _last.result
    result = _quantized(x, fmt, dtype, None, norm)
    _last.source, _last.key, _last.result = weakref.ref(x), key, result
    return result


def _quantized(
    x: Tensor, fmt: ActivationFormat | None, dtype: torch.dtype, limit: Tensor | None, norm: InputNorm | None
) -> LinearInput:
    with torch.no_grad():
        if fmt is None:
            value, normalized = x.detach(), None
            if norm is not None:
                value = value.float()
                normalized = normalized_input(value, norm.share)
                value = value * normalized.factor
            value = value.to(dtype)
            return LinearInput(value, None, value, normalized)

        integers, scale = quantize_activation(x, fmt, limit)
        assert scale is not None  # quantize_activation always returns one
        normalized = None
        if norm is not None:
            normalized = normalized_integers(integers, scale, fmt.largest, norm.share)
            scale = scale * normalized.factor
        return LinearInput(integers.to(dtype), scale, (integers * scale).to(dtype), normalized)
