"""Quantise the weights of all low-bit linears of a student together, once a forward pass.

Matrix by matrix, each takes some seven operations, which on a GPU are as many kernels. Groups of equal length, of
whatever matrices, are rows of one tensor here; the rules are those of ``quantizers``. The last bits of a scale depend
on the order of summation, and so may differ from those of one matrix alone; what a file holds is computed by
``freeze``, matrix by matrix.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from xtc_study.compress.quantization.layers import LowBitLinear, arithmetic_dtype
from xtc_study.compress.quantization.learned_scale import integers_of, used_scale
from xtc_study.compress.quantization.quantizers import Quantized, WeightFormat, grouped, quantize_groups


def quantize_together(
    weights: Sequence[Tensor],
    formats: Sequence[WeightFormat],
    dtype: torch.dtype = torch.float32,
    scales: Sequence[Tensor | None] | None = None,
) -> list[Quantized]:
    """Return the integers and scales of weight matrices, as ``quantize_weight`` of each.

    Args:
        weights: (rows, columns) each.
        formats: how to quantise each.
        dtype: of the integers.
        scales: the parameter of each one's learned scales; None where they follow from the weight, or for all.
    """
    scales = scales or [None] * len(weights)
    groups = [grouped(weight.detach().float(), fmt.granularity) for weight, fmt in zip(weights, formats, strict=True)]
    alike: dict[tuple[WeightFormat, int], list[int]] = {}
    for number, (group, fmt) in enumerate(zip(groups, formats, strict=True)):
        alike.setdefault((replace(fmt, granularity="tensor"), group.shape[-1]), []).append(number)

    results: dict[int, Quantized] = {}
    for (fmt, members), numbers in alike.items():
        counts = [groups[number].shape[0] * groups[number].shape[1] for number in numbers]
        rows = torch.cat([groups[number].reshape(-1, members) for number in numbers])
        learned = [given for number in numbers if (given := scales[number]) is not None]
        if learned:
            scale = used_scale(torch.cat(learned))
            integers = integers_of(rows, scale, fmt).to(dtype)
        else:
            integers, scale = quantize_groups(rows, fmt, dtype)
        parts = zip(numbers, integers.split(counts), scale.split(counts), strict=True)
        for number, one, of in parts:
            results[number] = Quantized(one.reshape(weights[number].shape), of.reshape(groups[number].shape[:2]))
    return [results[number] for number in range(len(weights))]


@contextmanager
def weights_together(model: nn.Module) -> Iterator[None]:
    """Within the block, each forward pass of the model in training mode begins by quantising all its linears.

    Formats are those that the linears have when the pass begins: they may change during a training.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, LowBitLinear)]

    def begin(module: nn.Module, *given: Any) -> None:
        chosen = [(layer, layer.weight_format) for layer in layers if layer.weight_format is not None]
        if module.training and chosen:
            weights, formats = [layer.weight for layer, _ in chosen], [fmt for _, fmt in chosen]
            scales = [layer.learned_scale for layer, _ in chosen]
            ready = quantize_together(weights, formats, arithmetic_dtype(weights[0]), scales)
            for (layer, _), quantized in zip(chosen, ready, strict=True):
                layer.ready = quantized

    def end(*given: Any) -> None:
        for layer in layers:
            layer.ready = None

    hooks = (model.register_forward_pre_hook(begin), model.register_forward_hook(end, always_call=True))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        end()
