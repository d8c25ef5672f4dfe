"""Start low-bit weights where quantisation changes the outputs least, instead of where the weights were.

GPTQ (Frantar et al. 2023, arXiv 2210.17323, algorithm 1): with H = X^T X of a linear's inputs X, the columns of the
weight are rounded one after the other; what rounding column j loses is made up for in the columns after it,

    w_k <- w_k - (w_j - rounded_j) / U_jj * U_jk,    k > j,    U the upper Cholesky factor of H^-1.

A column is rounded to the nearest multiple of the scale that the weight's own rule gives. The result is a latent
weight, from which the training starts: the rule finds these integers and this scale in it, and the distance of each
number from its neighbouring integer is kept as far as the rule permits.

Layer by layer, X is what the layers below give with the weights that they have got already, as in GPTQ's code; within
a layer, the linears are solved for the inputs that they had before any of them changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from xtc_study.compress.encoder_parts import encoder_parts
from xtc_study.compress.quantization.freeze import freeze
from xtc_study.compress.quantization.input_norm import blended
from xtc_study.compress.quantization.layers import LowBitLinear
from xtc_study.compress.quantization.quantizers import (
    TERNARY_THRESHOLD,
    Quantized,
    WeightFormat,
    dequantize,
    grouped,
    quantize_weight,
)

DAMPING = 0.01
"""Share of the mean of H's diagonal that is added to the diagonal (GPTQ's code)."""
BLOCK = 128
"""Columns after which the later ones are brought up to date together (GPTQ, section 3.3)."""
MARGIN = 1e-3
"""Relative distance from a threshold, which float32 cannot lose."""


def least_squares_weight(weight: Tensor, moments: Tensor, fmt: WeightFormat) -> Tensor:
    """Return the latent weight (rows, columns), float32, whose quantisation changes the outputs little.

    Args:
        weight: (rows, columns).
        moments: X^T X of the inputs, (columns, columns).
        fmt: 1 bit, or 2 with the integers -1, 0, 1.

    Raises:
        ValueError: other bits.
    """
    if fmt.bits not in (1, 2):
        raise ValueError(f"bits={fmt.bits}: expected 1 or 2; the scale of more bits follows from the largest weight")
    weight = weight.detach().float()
    scale = quantize_weight(weight, fmt).scale
    step = dequantize(Quantized(torch.ones_like(weight), scale)).double()
    integers, values = _rounded_in_turn(weight.double(), step, _upper_factor(moments.double()), fmt.bits)

    # The latent weight of each group.
    values, of_group = grouped(values, fmt.granularity), scale.double().unsqueeze(-1)
    if fmt.bits == 1:
        latent = _binary_latent(values, of_group)
    else:
        latent = _ternary_latent(grouped(integers, fmt.granularity), values, of_group)
    return latent.reshape(weight.shape).float()


def _upper_factor(moments: Tensor) -> Tensor:
    """U of H^-1 = U^T U. Where no input was seen at all, H is the identity, and nothing is made up for."""
    damping = DAMPING * moments.diagonal().mean()
    damped = moments + torch.where(damping > 0, damping, 1.0) * torch.eye(len(moments)).to(moments)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    upper: Tensor = torch.linalg.cholesky(inverse, upper=True)
    return upper


def _rounded_in_turn(values: Tensor, step: Tensor, upper: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Return the integers, and the values that were rounded to them, both (rows, columns) float64."""
    # Transposed, so that a column lies in memory as one piece.
    values, step = values.t().contiguous(), step.t().contiguous()
    integers, columns = torch.empty_like(values), len(values)
    for start in range(0, columns, BLOCK):
        end = min(start + BLOCK, columns)
        lost = torch.empty_like(values[start:end])
        for column in range(start, end):
            value = values[column]
            whole = torch.where(value >= 0, 1.0, -1.0).to(value)
            if bits == 2:
                whole = whole * (value.abs() > step[column] / 2)
            loss = (value - whole * step[column]) / upper[column, column]
            values[column + 1 : end].addr_(upper[column, column + 1 : end], loss, alpha=-1)
            integers[column], lost[column - start] = whole, loss
        values[end:] -= upper[start:end, end:].t() @ lost
    return integers.t(), values.t()


def _binary_latent(values: Tensor, scale: Tensor) -> Tensor:
    """The values, shrunk or stretched to a mean magnitude of the scale. All are (rows, groups, members or 1)."""
    mean = values.abs().mean(-1, keepdim=True)
    return values * (scale / torch.where(mean > 0, mean, 1.0))


def _ternary_latent(integers: Tensor, values: Tensor, scale: Tensor) -> Tensor:
    """Magnitudes on their side of both thresholds: 0.7 of the mean magnitude, and half a scale for a learnt scale.

    Those that become 0 are cut at the lower threshold. The others are stretched to the mean of the scale, then drawn
    to it until the smallest exceeds the higher threshold.
    """
    magnitude, kept = values.abs(), integers != 0
    number = kept.sum(-1, keepdim=True)
    share = number / kept.shape[-1]
    least = torch.minimum(TERNARY_THRESHOLD * share * scale, scale / 2) * (1 - MARGIN)
    zeros = torch.where(kept, 0.0, torch.minimum(magnitude, least))

    mean = (magnitude * kept).sum(-1, keepdim=True) / number.clamp(min=1)
    stretched = magnitude * (scale / torch.where(mean > 0, mean, 1.0))
    threshold = TERNARY_THRESHOLD * (share * scale + zeros.mean(-1, keepdim=True))
    threshold = torch.maximum(threshold, scale / 2) * (1 + MARGIN)
    smallest = torch.where(kept, stretched, torch.inf).amin(-1, keepdim=True)
    room = torch.where(smallest < threshold, (scale - threshold) / (scale - smallest), 1.0)
    return torch.copysign(torch.where(kept, scale + room * (stretched - scale), zeros), values)


@torch.no_grad()
def least_squares_start(
    model: Any, batches: Sequence[Mapping[str, Tensor]], most_layers: int | None = None
) -> dict[str, Tensor]:
    """Give a low-bit model's linears the latent weights of ``least_squares_weight``, and return them by module name.

    Inputs are taken as the low-bit model rounds them, before a norm that is yet to be blended in.

    Args:
        model: with weights of 1 or 2 bits and without static ranges of inputs; left frozen, in evaluation mode.
        batches: what the model is called with, without padding, which would count as tokens.
        most_layers: only so many layers, for a trial; None: all, and the dense layers outside the stack.
    """
    layers = _by_layer(model)
    freeze(model)  # quantised once, not in each pass
    weights: dict[str, Tensor] = {}
    with blended(model, next(model.parameters()).device):
        for linears in layers[:most_layers]:
            moments = _moments(model, linears, batches)
            for name, linear in linears.items():
                assert linear.weight_format is not None  # by the recipe, all are low-bit
                weights[name] = least_squares_weight(linear.weight, moments[name], linear.weight_format)
            for name, linear in linears.items():
                linear.weight.copy_(weights[name])
                linear.thaw_weight()
                linear.freeze_weight()
    return weights


def _by_layer(model: Any) -> list[dict[str, LowBitLinear]]:
    """The low-bit linears of each layer of the stack, and each one outside it alone, in the order of the modules."""
    stack = f"{encoder_parts(model).layers}."
    layers: dict[str, dict[str, LowBitLinear]] = {}
    for name, module in model.named_modules():
        if isinstance(module, LowBitLinear):
            layer = stack + name.removeprefix(stack).partition(".")[0] if name.startswith(stack) else name
            layers.setdefault(layer, {})[name] = module
    return list(layers.values())


class _AllSeenError(Exception):
    """Ends a pass once the linears of a layer have been reached."""


def _moments(
    model: Any, linears: Mapping[str, LowBitLinear], batches: Sequence[Mapping[str, Tensor]]
) -> dict[str, Tensor]:
    """X^T X of the inputs of each linear, (in, in) float64."""
    device = next(model.parameters()).device
    moments = {
        name: torch.zeros(linear.in_features, linear.in_features, dtype=torch.float64, device=device)
        for name, linear in linears.items()
    }

    waiting: set[str] = set()

    def hook(name: str) -> Any:
        def add(linear: LowBitLinear, given: tuple[Tensor, ...]) -> None:
            inputs = linear.quantized_input(given[0]).value.reshape(-1, linear.in_features)
            moments[name] += inputs.t() @ inputs
            waiting.discard(name)
            if not waiting:
                raise _AllSeenError

        return add

    hooks = [linear.register_forward_pre_hook(hook(name)) for name, linear in linears.items()]
    try:
        for batch in batches:
            waiting.update(linears)
            with suppress(_AllSeenError):
                model(**{field: value.to(device) for field, value in batch.items()})
    finally:
        for one in hooks:
            one.remove()
    return moments
