"""Encode and decode unpacked tensors (the recipe's ``rest``): position table, biases, LayerNorms, scales, classifier.

``fp32``: as they are. ``fp16``: half precision. ``8bit``: one byte per number, ``lowest + code * step``, with these
two float32 numbers per row of a table, or once for any other tensor. Tensors of up to 16 numbers stay float32.

Rounding happens after training and before scoring: ``rounded`` returns exactly the values that a reader of the file
gets.
"""

from __future__ import annotations

import torch
from torch import Tensor

from xtc_study.recipe_xtc import REST_FORMATS

SMALL = 16
"""Tensors of up to this many numbers stay float32; rows of up to this many share one range per tensor."""
LEVELS = 255


def encode(tensor: Tensor, fmt: str) -> Tensor:
    """Return what the file stores: float32 or float16 of the same shape, or one dimension of uint8 for ``8bit``.

    Args:
        tensor: the values; tensors of integers are returned as they are.
        fmt: fp32, fp16 or 8bit.

    Raises:
        ValueError: an unknown format, or a number that is not finite or too large for half precision.
    """
    if fmt not in REST_FORMATS:
        raise ValueError(f"rest={fmt!r}: expected one of {', '.join(REST_FORMATS)}")
    if not tensor.is_floating_point():
        return tensor
    tensor = tensor.detach().float().cpu().contiguous()
    if not torch.isfinite(tensor).all():
        raise ValueError("contains a number that is not finite")
    if fmt == "fp32" or tensor.numel() <= SMALL:
        return tensor
    if fmt == "fp16":
        half = tensor.half()
        if not torch.isfinite(half).all():
            raise ValueError(f"contains {float(tensor.abs().max()):g}, too large for fp16; use rest='fp32'")
        return half
    return _bytes_of_rows(_as_rows(tensor))


def decode(stored: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return the float32 tensor of ``shape`` that ``encode`` stored.

    Raises:
        ValueError: a dtype or length that does not match the shape.
    """
    if stored.dtype in (torch.float32, torch.float16):
        if tuple(stored.shape) != shape:
            raise ValueError(f"has shape {list(stored.shape)}, expected {list(shape)}")
        return stored.float()

    if stored.dtype != torch.uint8:
        raise ValueError(f"is {stored.dtype}, expected float32, float16 or uint8")
    rows, columns = _row_shape(shape)
    if tuple(stored.shape) != (encoded_length(shape),):
        raise ValueError(f"has shape {list(stored.shape)}, expected {[encoded_length(shape)]}")
    numbers = stored[: 8 * rows].clone().view(torch.float32)
    if not torch.isfinite(numbers).all():
        raise ValueError("contains a range that is not finite")
    lowest, step = numbers[:rows, None], numbers[rows:, None]
    return (stored[8 * rows :].reshape(rows, columns).float().mul_(step).add_(lowest)).reshape(shape)


def rounded(tensor: Tensor, fmt: str) -> Tensor:
    """Return the values that a reader of the file gets, on the tensor's own device."""
    return decode(encode(tensor, fmt), tuple(tensor.shape)).to(tensor.device)


def encoded_length(shape: tuple[int, ...]) -> int:
    """Return the bytes of a tensor of this shape in ``8bit``."""
    rows, columns = _row_shape(shape)
    return rows * (8 + columns)


def _bytes_of_rows(rows: Tensor) -> Tensor:
    lowest, highest = rows.amin(1, keepdim=True), rows.amax(1, keepdim=True)
    step = (highest - lowest) / LEVELS
    codes = ((rows - lowest) / torch.where(step > 0, step, 1.0)).round().clamp(0, LEVELS).to(torch.uint8)
    numbers = torch.cat([lowest, step]).flatten().view(torch.uint8)
    return torch.cat([numbers, codes.flatten()])


def _row_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    if len(shape) == 2 and shape[1] > SMALL:
        return shape[0], shape[1]
    return 1, torch.Size(shape).numel()


def _as_rows(tensor: Tensor) -> Tensor:
    return tensor.reshape(_row_shape(tuple(tensor.shape)))
