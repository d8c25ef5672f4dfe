from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from xtc_study.compress.quantization.freeze import freeze
from xtc_study.compress.quantization.layers import LowBitEmbedding, LowBitLinear
from xtc_study.compress.quantization.learned_scale import (
    SMALLEST,
    ThroughScale,
    quantize_by_scale,
    reach,
    start_scale,
)
from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.compress.quantization.quantizers import WeightFormat, dequantize, quantize_weight
from xtc_study.compress.reduction.word_table import cut_vocabulary
from xtc_study.compress.sizes import matrix_parameters
from xtc_study.recipe import Recipe

BINARY, TERNARY = WeightFormat(1, learned=True), WeightFormat(2, learned=True)
ODD, THREE_BITS = WeightFormat(2, levels="odd", learned=True), WeightFormat(3, learned=True)


@pytest.mark.parametrize(
    ("fmt", "weights", "scale", "integers", "of_weights", "of_scale"),
    [
        # of_scale is the sum of gradient times sign: -1 + 2 + 3 - 4
        pytest.param(BINARY, [-9, 0, 0.1, -0.0], 0.5, [-1, 1, 1, 1], [1, 2, 3, 4], -1 + 2 + 3 + 4, id="1 bit"),
        # within 1.5 scales q - v: -0.4, 0.2, and then -1 at -1.6 and 1 at 1.5
        pytest.param(
            TERNARY, [0.8, 1.6, -3.2, 3], 2, [0, 1, -1, 1], [1, 2, 0, 0], -0.4 + 2 * 0.2 - 3 + 4, id="ternary"
        ),
        # q - v is 0.5 at 0.5 and 0.9 at -3.9; -3 and 3 outside of 4 scales
        pytest.param(
            ODD, [0.25, -1.95, -2, 9], 0.5, [1, -3, -3, 3], [1, 2, 0, 0], 0.5 + 2 * 0.9 - 9 + 12, id="without a zero"
        ),
        # q - v is -0.4 at 0.4 and 0.5 at -2.5, a half, which goes to the even -2; at L itself a weight is outside
        pytest.param(THREE_BITS, [0.4, -2.5, 3, -5], 1, [0, -2, 3, -3], [1, 2, 0, 0], -0.4 + 1 + 9 - 12, id="3 bits"),
    ],
)
def test_integers_and_gradients_match_hand_computed_values(
    fmt: WeightFormat,
    weights: list[float],
    scale: float,
    integers: list[int],
    of_weights: list[float],
    of_scale: float,
) -> None:
    """The gradients of the quantised weights are 1, 2, 3 and 4; that of a scale of 4 weights is over sqrt(4 L)."""
    w = torch.tensor([weights], dtype=torch.float32, requires_grad=True)
    s = torch.tensor([float(scale)], requires_grad=True)
    quantized = quantize_by_scale(w, s, fmt)
    assert quantized.integers.tolist() == [integers] and quantized.scale.tolist() == [[scale]]
    passed = ThroughScale.apply(w, s, fmt)
    assert torch.equal(passed, w)
    passed.backward(torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
    assert w.grad.tolist() == [of_weights]
    assert s.grad.item() == pytest.approx(of_scale / math.sqrt(4 * fmt.largest), rel=1e-5)


def test_how_far_gradients_reach() -> None:
    assert [reach(fmt) for fmt in (BINARY, TERNARY, ODD)] == [math.inf, 1.5, 4]
    assert [reach(WeightFormat(bits, learned=True)) for bits in (3, 4, 8)] == [3, 7, 127]


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([(1, "ternary"), (2, "ternary"), (2, "odd"), (3, "ternary"), (8, "ternary")]),
    st.sampled_from(["tensor", "row", "group:4"]),
    st.integers(0, 2**31),
)
def test_where_nothing_is_rounded_the_gradient_is_the_slope(
    kind: tuple[int, str], granularity: str, seed: int
) -> None:
    """Beyond the range, and with one bit everywhere, the quantised weight is a multiple of the scale; within it, the
    sum of both gradients' effects keeps scale * q: a scale 1 + h times as large, with weights to match, gives weights
    1 + h times as large."""
    bits, levels = kind
    fmt = WeightFormat(bits, granularity, levels=levels, learned=True)
    generator = torch.Generator().manual_seed(seed)
    linear = nn.Linear(8, 6, bias=False)
    linear.weight.data = torch.randn(6, 8, generator=generator)
    layer = LowBitLinear(linear, fmt, None)
    downstream = torch.randn(6, 8, generator=generator)
    layer.latent_weight().backward(downstream)

    w_hat = dequantize(layer.quantized_weight())
    balance = math.sqrt(8 * 6 / layer.weight_scale.numel() * fmt.largest)
    found = (layer.weight_scale.grad * layer.weight_scale).sum() * balance
    if bits > 1:
        found = found + (layer.weight.grad * layer.weight).sum()
    torch.testing.assert_close(found, (downstream * w_hat).sum(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("granularity", ["tensor", "row", "group:4"])
@pytest.mark.parametrize(("bits", "levels"), [(1, "ternary"), (2, "ternary"), (2, "odd"), (4, "ternary")])
def test_training_starts_from_the_rule(bits: int, levels: str, granularity: str) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(8, 4)
    layer = LowBitLinear(linear, WeightFormat(bits, granularity, levels=levels, learned=True), None)
    rule = quantize_weight(linear.weight, WeightFormat(bits, granularity, levels=levels))
    assert torch.equal(layer.quantized_weight().scale, rule.scale)
    assert layer.weight_scale.ndim == 1 and layer.weight_scale.numel() == rule.scale.numel()
    if bits != 2 or levels == "odd":  # the ternary rule's threshold is no half of its scale
        assert torch.equal(layer.quantized_weight().integers, rule.integers)
    with torch.no_grad():
        layer.weight.mul_(3)
    assert torch.equal(layer.quantized_weight().scale, rule.scale), "a scale no longer follows from the weight"


def test_a_rule_has_no_parameter() -> None:
    layer = LowBitLinear(nn.Linear(4, 2), WeightFormat(1), None)
    assert sorted(layer.state_dict()) == ["bias", "weight"] and start_scale(layer.weight, None) is None


@torch.no_grad()
def test_a_scale_stays_positive_and_can_rise_again() -> None:
    layer = LowBitLinear(nn.Linear(4, 2, bias=False), WeightFormat(1, "row", learned=True), None)
    layer.weight_scale.copy_(torch.tensor([-3.0, 2.0]))
    assert layer.quantized_weight().scale.tolist() == [[pytest.approx(SMALLEST)], [2]]
    with torch.enable_grad():
        layer(torch.ones(1, 4)).sum().backward()
    signs = torch.where(layer.weight >= 0, 1.0, -1.0)
    torch.testing.assert_close(layer.weight_scale.grad, signs.sum(1) / 2)


@torch.no_grad()
def test_a_group_of_zeros_starts_at_the_smallest_scale() -> None:
    linear = nn.Linear(4, 2)
    linear.weight.zero_()
    for bits in (1, 2, 4):
        layer = LowBitLinear(linear, WeightFormat(bits, learned=True), None)
        assert layer.quantized_weight().scale.item() == pytest.approx(SMALLEST)


@torch.no_grad()
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_scale_that_is_not_finite_is_an_error(tiny: Callable[..., Any], value: float) -> None:
    model, place = tiny("bert", layers=1), "bert.encoder.layer.0.output.dense"
    make_low_bit(model, Recipe.of(task="cola", weight_scale="learned"))
    model.get_submodule(place).weight_scale[0] = value
    with pytest.raises(ValueError, match=rf"module '{place}': a scale of its weight is (inf|nan), .* diverged"):
        freeze(model)


@torch.no_grad()
def test_freezing_keeps_the_learned_scale_bit_for_bit() -> None:
    for bits, granularity in ((1, "tensor"), (2, "row"), (3, "group:4")):
        layer = LowBitLinear(nn.Linear(8, 4), WeightFormat(bits, granularity, learned=True), None)
        layer.weight_scale.copy_(torch.rand_like(layer.weight_scale) + 0.1)
        freeze(layer)
        learned = layer.weight_scale.clone()
        assert torch.equal(layer.frozen_scale.reshape(-1), learned)
        layer.weight_scale.mul_(2)
        assert torch.equal(layer.stored_weight().scale.reshape(-1), learned), "a copy"


@pytest.mark.parametrize(("bits", "levels"), [(1, "ternary"), (2, "ternary"), (2, "odd"), (4, "ternary")])
def test_linear_gradients_equal_those_of_the_quantised_linear(bits: int, levels: str) -> None:
    """Autograd through scale * q, with q as a constant, and LSQ's share of the rounding by hand."""
    torch.manual_seed(bits)
    fmt = WeightFormat(bits, "row", levels=levels, learned=True)
    layer = LowBitLinear(nn.Linear(12, 5), fmt, None)
    x, downstream = torch.randn(3, 12), torch.randn(3, 5)
    layer(x).backward(downstream)

    of_weight = downstream.t() @ x
    v, q = layer.weight / layer.weight_scale[:, None], layer.quantized_weight().integers
    inside = v.abs() < reach(fmt)
    share = q if bits == 1 else torch.where(inside, q - v, q)
    of_scale = (of_weight * share).sum(1) / math.sqrt(12 * fmt.largest)
    torch.testing.assert_close(layer.weight_scale.grad, of_scale)
    torch.testing.assert_close(layer.weight.grad, of_weight * inside)
    assert bits == 1 or not inside.all()


def table(fmt: WeightFormat) -> LowBitEmbedding:
    torch.manual_seed(0)
    return LowBitEmbedding(nn.Embedding(10, 6, padding_idx=0), fmt)


def test_a_table_learns_the_scales_of_rows_looked_up() -> None:
    layer = table(WeightFormat(1, "row", learned=True))
    assert layer.weight_scale.shape == (10,)
    layer(torch.tensor([[3, 7, 0], [3, 9, 0]])).sum().backward()
    signs = torch.where(layer.weight >= 0, 1.0, -1.0).sum(1) / math.sqrt(6)
    expected = torch.zeros(10)
    expected[[3, 7, 9]] = torch.tensor([2.0, 1.0, 1.0]) * signs[[3, 7, 9]]
    torch.testing.assert_close(layer.weight_scale.grad, expected)
    assert layer.weight.grad[[3, 7, 9]].tolist() == [[2.0] * 6, [1.0] * 6, [1.0] * 6]
    assert not layer.weight.grad[[0, 1, 2]].any()


@torch.no_grad()
@pytest.mark.parametrize(("bits", "levels"), [(1, "ternary"), (2, "ternary"), (2, "odd"), (4, "ternary")])
def test_frozen_table_equals_lookups(bits: int, levels: str) -> None:
    layer = table(WeightFormat(bits, "row", levels=levels, learned=True))
    layer.weight_scale.mul_(1.3)
    ids = torch.tensor([[3, 7, 0], [3, 9, 9]])
    before = layer(ids)
    whole = dequantize(quantize_by_scale(layer.weight, layer.weight_scale, layer.weight_format))
    assert torch.equal(before, whole[ids])
    freeze(layer)
    assert torch.equal(layer(ids), before)


@torch.no_grad()
def test_cutting_the_vocabulary_cuts_the_scales(tiny: Callable[..., Any]) -> None:
    model, kept = tiny("bert", layers=1), [0, 3, 50, 100]
    make_low_bit(model, Recipe.of(task="cola", weight_scale="learned"))
    words = model.get_input_embeddings()
    words.weight_scale.copy_(torch.rand(101) + 0.1)
    cut = cut_vocabulary(model, kept).get_input_embeddings()
    assert torch.equal(cut.weight_scale, words.weight_scale[kept])
    assert torch.equal(cut(torch.arange(4)), words(torch.tensor(kept)))


def test_scales_are_no_matrices(tiny: Callable[..., Any]) -> None:
    model = tiny("bert")
    before = matrix_parameters(model)
    make_low_bit(model, Recipe.of(task="cola", weight_scale="learned", granularity="row"))
    assert matrix_parameters(model) == before
    learned = [name for name, _ in model.named_parameters() if name.endswith(".weight_scale")]
    assert len(learned) == 4 * 6 + 2, "six linears a layer, the pooler and the word table"


def test_a_clip_is_refused() -> None:
    with pytest.raises(ValueError, match=r"clip=0\.5: a learned scale has a range of its own"):
        WeightFormat(1, clip=0.5, learned=True)
