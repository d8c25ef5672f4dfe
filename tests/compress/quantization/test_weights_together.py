from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from xtc_study.compress.quantization.layers import LowBitLinear
from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.compress.quantization.quantizers import WeightFormat, quantize_weight
from xtc_study.compress.quantization.weights_together import quantize_together, weights_together
from xtc_study.recipe import Recipe


@pytest.mark.parametrize("bits", [1, 2, 3, 8])
@pytest.mark.parametrize("granularity", ["tensor", "row", "group:4"])
@pytest.mark.parametrize("clip", [None, 0.5])
def test_each_matrix_as_alone(bits: int, granularity: str, clip: float | None) -> None:
    """Matrices with groups of equal and of other lengths, one of them zero, one with an infinite weight."""
    generator = torch.Generator().manual_seed(bits)
    shapes = [(6, 8), (4, 12), (12, 4), (6, 8), (2, 8)]
    weights = [torch.randn(shape, generator=generator) for shape in shapes]
    weights[3] = torch.zeros(6, 8)
    if clip is None:
        weights[4][1, 2] = float("inf")
    fmt = WeightFormat(bits, granularity, clip)
    together = quantize_together(weights, [fmt] * len(weights), torch.bfloat16)
    for weight, (integers, scale) in zip(weights, together, strict=True):
        alone = quantize_weight(weight, fmt, torch.bfloat16)
        torch.testing.assert_close(scale, alone.scale, equal_nan=True)
        finite = torch.isfinite(alone.scale).all()
        assert not finite or torch.equal(integers, alone.integers)
        assert integers.dtype == torch.bfloat16


def test_formats_may_differ() -> None:
    weights = [torch.randn(4, 4), torch.randn(4, 4)]
    one, four = quantize_together(weights, [WeightFormat(1), WeightFormat(4)])
    assert torch.equal(one.integers, quantize_weight(weights[0], WeightFormat(1)).integers)
    assert torch.equal(four.integers, quantize_weight(weights[1], WeightFormat(4)).integers)


def gradients(model: Any) -> list[torch.Tensor]:
    return [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("granularity", ["tensor", "row", "group:4"])
@pytest.mark.parametrize(("bits", "levels"), [(1, "ternary"), (2, "ternary"), (2, "odd"), (4, "ternary")])
def test_learned_scales_as_alone(bits: int, levels: str, granularity: str) -> None:
    """Bit for bit: nothing is summed."""
    fmt = WeightFormat(bits, granularity, levels=levels, learned=True)
    layers = [LowBitLinear(torch.nn.Linear(columns, rows), fmt, None) for rows, columns in ((6, 8), (4, 12), (6, 8))]
    with torch.no_grad():
        layers[1].weight_scale.mul_(1.7)
        layers[2].weight_scale[0] = -1
    together = quantize_together(
        [layer.weight for layer in layers], [fmt] * 3, torch.bfloat16, [layer.weight_scale for layer in layers]
    )
    for layer, (integers, scale) in zip(layers, together, strict=True):
        alone = layer.quantized_weight(torch.bfloat16)
        assert integers.dtype == torch.bfloat16 and torch.equal(integers, alone.integers)
        assert torch.equal(scale, alone.scale)


@pytest.mark.parametrize(
    "fields",
    [
        *({}, {"weight_bits": 2, "granularity": "row"}, {"weight_bits": 32}),
        *({"weight_scale": "learned"}, {"weight_bits": 2, "two_bit_levels": "odd", "granularity": "group:16"}),
        {"weight_bits": 2, "two_bit_levels": "odd", "granularity": "row", "weight_scale": "learned"},
    ],
)
def test_a_forward_and_backward_pass_as_without(
    tiny: Callable[..., Any], batch: Callable[..., Any], fields: dict[str, Any]
) -> None:
    model = tiny()
    make_low_bit(model, Recipe.of(task="cola", **fields))
    model.train()
    model.apply(lambda part: setattr(part, "p", 0.0) if isinstance(part, torch.nn.Dropout) else None)
    plain = model(**batch(), labels=torch.tensor([0, 1, 2]))
    plain.loss.backward()
    expected = gradients(model)

    model.zero_grad()
    with weights_together(model):
        loss = model(**batch(), labels=torch.tensor([0, 1, 2])).loss
        loss.backward()
    torch.testing.assert_close(loss, plain.loss)
    for one, other in zip(gradients(model), expected, strict=True):
        torch.testing.assert_close(one, other)


def test_only_in_training_and_only_during_a_forward_pass(
    tiny: Callable[..., Any], batch: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny()
    make_low_bit(model, Recipe.of(task="cola"))
    linears = [part for part in model.modules() if hasattr(part, "ready")]
    alone: list[torch.Tensor] = []

    def counted(weight: torch.Tensor, *others: Any) -> Any:
        alone.append(weight)
        return quantize_weight(weight, *others)

    monkeypatch.setattr("xtc_study.compress.quantization.layers.quantize_weight", counted)
    tables = 1  # embeddings quantise the rows that they look up
    with weights_together(model):
        model.train()
        model(**batch())
        assert len(alone) == tables
        assert all(linear.ready is None for linear in linears)

        model.eval()
        model(**batch())
        assert len(alone) == tables + tables + len(linears)

        model.train()
        with pytest.raises(IndexError):
            model(input_ids=torch.full((1, 4), 10_000))
        assert all(linear.ready is None for linear in linears), "also after an error"
    before = len(alone)
    model(**batch())
    assert len(alone) == before + tables + len(linears), "as before, after the block"
