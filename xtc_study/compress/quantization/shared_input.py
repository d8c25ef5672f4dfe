"""The quantised input of a linear. Queries, keys and values read one tensor; it is quantised once for all three.

Why not pass the quantised tensor along: the three linears are called by transformers' own attention code, which knows
plain tensors alone and differs by family; so the result is remembered, by tensor and version, for each thread. It is
remembered within one forward pass of the block that holds these linears, and no longer: a tensor may change without a
new version, through ``x.data`` or a numpy view of its memory, but not while such a block computes.
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


class LinearInput(NamedTuple):
    """What a low-bit linear computes with, in ``dtype`` of its arithmetic, of the shape of its input (..., in)."""

    integers: Tensor
    """Whole numbers; the input itself where it is not quantised."""
    scale: Tensor | None
    """(..., 1) per token, () per tensor, float32; None where the input is not quantised."""
    value: Tensor
    """integers * scale: what the input became. The backward pass needs it."""


class _Last(threading.local):
    """The last input that was quantised in this thread."""

    blocks: int = 0
    """Blocks that the forward pass is inside of."""
    source: weakref.ref[Tensor] | None = None
    key: tuple[object, ...] = ()
    result: LinearInput | None = None


_last = _Last()


@contextmanager
def one_pass() -> Iterator[None]:
    """Inside the block an input that several linears read is quantised once."""
    _enter()
    try:
        yield
    finally:
        _leave()


def share_inputs(block: nn.Module) -> None:
    """Makes each forward pass of this module ``one_pass``.

    By its class and not by hooks: PyTorch calls a forward hook after an error, but not after Ctrl-C. The class keeps
    its name and stays one of the module's own, so that transformers finds the module still.
    """
    block.__class__ = _sharing(type(block))  # type: ignore[arg-type]  # to mypy a class is not hashable


@cache
def _sharing(kind: type[nn.Module]) -> type[nn.Module]:
    """The class whose forward pass is ``one_pass``; one that is so already stays."""
    if hasattr(kind, "shares_inputs"):
        return kind
    whole = kind.forward

    @wraps(whole)
    def forward(self: nn.Module, *inputs: Any, **named: Any) -> Any:
        _enter()
        try:
            return whole(self, *inputs, **named)
        finally:
            _leave()

    own = {"__module__": kind.__module__, "__doc__": kind.__doc__, "forward": forward, "shares_inputs": True}
    return type(kind.__name__, (kind,), own)


def _enter() -> None:
    _last.blocks += 1
    _forget()


def _leave() -> None:
    _last.blocks -= 1
    _forget()


def _forget() -> None:
    _last.source, _last.key, _last.result = None, (), None


def linear_input(x: Tensor, fmt: ActivationFormat | None, dtype: torch.dtype, limit: Tensor | None) -> LinearInput:
    """x (..., in), quantised, with no gradient of its own.

    Within ``one_pass`` a second call with the same tensor and format gives the first call's result. Only the last
    input is remembered, so at most one is kept longer than needed.

    Args:
        limit: as in ``quantize_activation``; with one, nothing is shared, for each layer learns its own.
    """
    if not _last.blocks or limit is not None or x.is_inference():  # an inference tensor has no version
        return _quantized(x, fmt, dtype, limit)
    key = (x._version, fmt, dtype)
    if _last.result is not None and _last.source is not None and _last.source() is x and _last.key == key:
        return _last.result
    result = _quantized(x, fmt, dtype, None)
    _last.source, _last.key, _last.result = weakref.ref(x), key, result
    return result


def _quantized(x: Tensor, fmt: ActivationFormat | None, dtype: torch.dtype, limit: Tensor | None) -> LinearInput:
    with torch.no_grad():
        if fmt is None:
            value = x.detach().to(dtype)
            return LinearInput(value, None, value)
        integers, scale = quantize_activation(x, fmt, limit)
        assert scale is not None  # quantize_activation always gives one
        return LinearInput(integers.to(dtype), scale, (integers * scale).to(dtype))
