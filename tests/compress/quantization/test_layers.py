from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from xtc_study.compress.quantization.activations import ActivationFormat
from xtc_study.compress.quantization.layers import LowBitEmbedding, LowBitLinear
from xtc_study.compress.quantization.quantizers import WeightFormat, dequantize, quantize_weight

BY_TOKEN = ActivationFormat(8, "token")
BY_TENSOR = ActivationFormat(4, "tensor")


def low_bit(weights: WeightFormat | None, activations: ActivationFormat | None, bias: bool = True) -> LowBitLinear:
    torch.manual_seed(0)
    return LowBitLinear(nn.Linear(12, 8, bias=bias), weights, activations)


def quantized_operands(layer: LowBitLinear, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return layer.quantized_input(x).value.clone().requires_grad_(), dequantize(
        layer.quantized_weight()
    ).clone().requires_grad_()


@pytest.mark.parametrize("activations", [None, BY_TOKEN, BY_TENSOR], ids=["plain input", "8 bits a token", "4 bits"])
@pytest.mark.parametrize(
    "weights",
    [
        None,
        *(WeightFormat(b, g) for b in (1, 2, 4) for g in ("tensor", "row", "group:4")),
        *(WeightFormat(2, g, levels="odd") for g in ("tensor", "group:4")),
    ],
    ids=lambda fmt: f"{fmt.bits} bits a {fmt.granularity}, {fmt.levels}" if fmt else "plain weight",
)
def test_value_and_gradients_equal_those_of_the_quantized_linear(
    weights: WeightFormat | None, activations: ActivationFormat | None
) -> None:
    layer = low_bit(weights, activations)
    x = torch.randn(2, 5, 12, requires_grad=True)
    downstream = torch.randn(2, 5, 8)
    y = layer(x)
    y.backward(downstream)

    x_hat, w_hat = quantized_operands(layer, x)
    bias = layer.bias.detach().clone().requires_grad_()
    expected = F.linear(x_hat, w_hat, bias)
    expected.backward(downstream)
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)
    for ours, theirs in ((x.grad, x_hat.grad), (layer.weight.grad, w_hat.grad), (layer.bias.grad, bias.grad)):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_quantization_changes_the_output() -> None:
    """Guards the test above: a layer that quantises nothing would pass it."""
    x = torch.randn(3, 12)
    plain = low_bit(None, None)(x)
    assert torch.equal(plain, F.linear(x, low_bit(None, None).weight, low_bit(None, None).bias))
    for weights, activations in ((WeightFormat(1), None), (None, BY_TOKEN)):
        assert not torch.allclose(low_bit(weights, activations)(x), plain, atol=1e-5)


def test_low_bit_linear_matches_hand_computed_values() -> None:
    linear = nn.Linear(2, 2)
    linear.weight = nn.Parameter(torch.tensor([[1.0, -3.0], [0.0, 6.0]]))
    linear.bias = nn.Parameter(torch.tensor([1.0, -1.0]))
    layer = LowBitLinear(linear, WeightFormat(1, "row"), BY_TOKEN)
    # the input is 254 and 127 to -1 in steps of 2: 127, 0; binary rows are +-2 and +3
    assert layer(torch.tensor([[254.0, -1.0]])).tolist() == [[509.0, 761.0]]


@torch.no_grad()
def test_wide_rows_of_odd_integers_are_summed_exactly() -> None:
    """50,001 products of 3 and 127 exceed 2^24, up to which float32 sums are exact."""
    linear = nn.Linear(50_001, 2, bias=False)
    linear.weight.fill_(3)
    linear.weight[1, ::7_000] = -1
    layer = LowBitLinear(linear, WeightFormat(2, levels="odd", learned=True), BY_TOKEN)
    layer.weight_scale.fill_(1)
    assert layer.largest_product == 3 * 127
    x = torch.full((1, 50_001), 127.0)
    exact = layer.quantized_weight().integers.long().sum(1) * 127
    assert (exact > 2**24).all() and torch.equal(layer(x)[0], exact.float())


def test_clip_stops_only_gradients_outside_it() -> None:
    weights = WeightFormat(1, "row", clip=0.15)
    layer = low_bit(weights, None)
    outside = layer.weight.abs() > 0.15
    assert 0 < outside.sum() < outside.numel()
    x = torch.randn(4, 12)
    layer(x).sum().backward()
    x_hat, w_hat = quantized_operands(layer, x)
    F.linear(x_hat, w_hat).sum().backward()
    assert layer.weight.grad is not None
    assert w_hat.grad is not None
    assert (layer.weight.grad[outside] == 0).all()
    torch.testing.assert_close(layer.weight.grad[~outside], w_hat.grad[~outside])
    assert (layer.weight.grad[~outside] != 0).all()


def test_weight_at_the_clip_still_gets_a_gradient() -> None:
    layer = low_bit(WeightFormat(1, clip=0.5), None)
    with torch.no_grad():
        layer.weight.fill_(0.5)
    layer(torch.ones(1, 12)).sum().backward()
    assert torch.equal(layer.weight.grad, torch.ones(8, 12))


def test_linear_without_bias() -> None:
    layer = low_bit(WeightFormat(1), BY_TOKEN, bias=False)
    x = torch.randn(3, 12, requires_grad=True)
    layer(x).sum().backward()
    assert layer.bias is None
    assert x.grad is not None


def test_low_bit_linear_shares_the_linears_parameters() -> None:
    linear = nn.Linear(12, 8)
    layer = LowBitLinear(linear, WeightFormat(1), BY_TOKEN)
    assert layer.weight is linear.weight
    assert layer.bias is linear.bias
    assert sorted(layer.state_dict()) == ["bias", "weight"]


def test_static_range_is_learned_in_training_and_used_in_evaluation() -> None:
    layer = low_bit(WeightFormat(8), ActivationFormat(8, "tensor", static=True))
    layer(torch.full((1, 12), 10.0))
    layer(torch.full((1, 12), 30.0))
    assert sorted(layer.state_dict()) == ["bias", "input_range.limit", "weight"]
    assert float(layer.state_dict()["input_range.limit"]) == pytest.approx(11.0, abs=1e-5)
    layer.eval()
    at_the_limit, beyond = layer(torch.full((1, 12), 11.0)), layer(torch.full((1, 12), 500.0))
    assert torch.equal(at_the_limit, beyond)


@pytest.mark.parametrize("bits", [1, 2, 8])
@pytest.mark.parametrize("activations", [None, BY_TOKEN], ids=["plain input", "8 bits a token"])
def test_bf16_is_close_to_fp32(bits: int, activations: ActivationFormat | None) -> None:
    layer = low_bit(WeightFormat(bits), activations)
    x = torch.randn(16, 12, requires_grad=True)
    exact = layer(x)
    exact.square().sum().backward()
    expected_grad = layer.weight.grad.clone()
    layer.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.bfloat16
    assert (y.float() - exact).norm() <= 0.01 * exact.norm()
    y.float().square().sum().backward()
    assert layer.weight.grad.dtype == torch.float32
    assert (layer.weight.grad - expected_grad).norm() <= 0.02 * expected_grad.norm()


@pytest.fixture
def table() -> Callable[[int], LowBitEmbedding]:
    def make(bits: int) -> LowBitEmbedding:
        torch.manual_seed(0)
        return LowBitEmbedding(nn.Embedding(10, 6, padding_idx=0), WeightFormat(bits, "row"))

    return make


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_embedding_looks_up_quantized_rows(table: Callable[[int], LowBitEmbedding], bits: int) -> None:
    layer = table(bits)
    ids = torch.tensor([[3, 7, 0], [3, 9, 9]])
    whole = dequantize(quantize_weight(layer.weight, WeightFormat(bits, "row")))
    assert torch.equal(layer(ids), whole[ids])
    assert not torch.equal(layer(ids), layer.weight[ids])


def test_embedding_gradient_reaches_only_the_rows_looked_up(table: Callable[[int], LowBitEmbedding]) -> None:
    layer = table(1)
    layer(torch.tensor([[3, 7, 0], [3, 9, 0]])).sum().backward()
    expected = torch.zeros(10, 6)
    expected[[3, 7, 9]] = torch.tensor([[2.0], [1.0], [1.0]])
    assert torch.equal(layer.weight.grad, expected), "row 3 is looked up twice, 7 and 9 once, the padding row never"


def test_embedding_needs_one_scale_per_row() -> None:
    with pytest.raises(ValueError, match=r"granularity='tensor'"):
        LowBitEmbedding(nn.Embedding(4, 4), WeightFormat(1, "tensor"))
