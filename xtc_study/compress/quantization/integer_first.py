"""The arithmetic of a low-bit linear, integers first: ``y = (q @ S^T) * (token scale * weight scale) + bias``.

q and S hold integers, so in float32 every partial sum below 2^24 is exact in any order of summation. The usual order,
(q * s) @ (S * alpha)^T, rounds at each product; one difference in rounding then flips a later round() and grows to the
size of the quantisation step itself. In this order a packed model gives the trained student's logits bit for bit.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from xtc_study.compress.quantization.quantizers import Quantized

EXACT = 2**24
"""Integers up to this are exact in float32."""


def integer_linear(integers: Tensor, weights: Tensor, largest_product: int | None) -> Tensor:
    """Compute ``integers @ weights^T`` in slices of the inner dimension that keep every partial sum below 2^24.

    Args:
        integers: (..., K).
        weights: (N, K).
        largest_product: the largest |integer * weight|; None if either is not an integer (one slice).
    """
    inner = weights.shape[-1]
    slice_size = inner if largest_product is None else max(EXACT // largest_product, 1)
    if slice_size >= inner:
        return F.linear(integers, weights)

    parts = zip(integers.split(slice_size, -1), weights.split(slice_size, -1), strict=True)
    total = torch.zeros((), dtype=torch.int32, device=integers.device)
    for part, weight in parts:
        total = total + F.linear(part, weight).int()  # slices may sum beyond 2^24, which float32 would round
    return total.to(torch.float32)


def integer_first_linear(
    integers: Tensor,
    token_scale: Tensor | None,
    weight: Quantized,
    bias: Tensor | None,
    largest_product: int | None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Compute the output of a low-bit linear, shape (..., N), in ``dtype``.

    Args:
        integers: (..., K), the quantised input; the plain input if ``token_scale`` is None.
        token_scale: (..., 1) or (); None if the input is not quantised.
        weight: integers (N, K) and scale (1 or N, groups).
        bias: (N,), or None.
        largest_product: as in ``integer_linear``.
        dtype: of the products. float32 is exact; bfloat16 holds every integer up to 256 and sums in float32.
    """
    q, (weight_integers, scale) = integers.to(dtype), weight
    groups = scale.shape[1]
    if groups == 1:
        total = integer_linear(q, weight_integers.to(dtype), largest_product)
        factor = scale.reshape(-1) if token_scale is None else scale.reshape(-1) * token_scale
        y = total * factor
    else:
        y = torch.zeros((), device=q.device)
        columns = weight_integers.shape[1] // groups
        weights_of_groups = weight_integers.to(dtype).split(columns, -1)
        slices = zip(q.split(columns, -1), weights_of_groups, scale.unbind(1), strict=True)
        for part, weights, group_scale in slices:
            y = y + integer_linear(part, weights, largest_product) * group_scale
        if token_scale is not None:
            y = y * token_scale
    if bias is not None:
        y = y + bias
    return y.to(dtype)
