"""The quantised input of a linear. Queries, keys and values read one tensor; it is quantised once for all three."""

from __future__ import annotations

import threading
import weakref
from typing import NamedTuple

import torch
from torch import Tensor

from xtc_study.compress.activations import ActivationFormat, quantize_activation


class LinearInput(NamedTuple):
    """What a low-bit linear computes with, in ``dtype`` of its arithmetic, of the shape of its input (..., in)."""

    integers: Tensor
    """Whole numbers; the input itself where it is not quantised."""
    scale: Tensor | None
    """(..., 1) per token, () per tensor, float32; None where the input is not quantised."""
    value: Tensor
    """integers * scale: what the input became. The backward pass needs it."""


class _Last(threading.local):
    source: weakref.ref[Tensor] | None = None
    key: tuple[object, ...] = ()
    result: LinearInput | None = None


_last = _Last()


def linear_input(x: Tensor, form: ActivationFormat | None, dtype: torch.dtype, limit: Tensor | None) -> LinearInput:
    """x (..., in), quantised, with no gradient of its own.

    A second call with the same, unchanged tensor and format gives the first call's result. Only the last input is
    remembered, so at most one is kept longer than needed.

    Args:
        limit: as in ``quantize_activation``; with one, nothing is shared, for each layer learns its own.
    """
    if limit is not None or x.is_inference():  # an inference tensor does not say whether it changed
        return _quantised(x, form, dtype, limit)
    key = (x._version, form, dtype)
    if _last.result is not None and _last.source is not None and _last.source() is x and _last.key == key:
        return _last.result
    result = _quantised(x, form, dtype, None)
    _last.source, _last.key, _last.result = weakref.ref(x), key, result
    return result


def _quantised(x: Tensor, form: ActivationFormat | None, dtype: torch.dtype, limit: Tensor | None) -> LinearInput:
    with torch.no_grad():
        if form is None:
            value = x.detach().to(dtype)
            return LinearInput(value, None, value)
        integers, scale = quantize_activation(x, form, limit)
        assert scale is not None  # quantize_activation always gives one
        return LinearInput(integers.to(dtype), scale, (integers * scale).to(dtype))
