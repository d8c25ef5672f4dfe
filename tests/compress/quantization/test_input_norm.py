"""The norm before low-bit linears: numbers by hand, its gradient, exact sums, and how it is blended in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from xtc_study.compress.quantization import shared_input
from xtc_study.compress.quantization.activations import ActivationFormat, quantize_activation
from xtc_study.compress.quantization.input_norm import (
    InputNorm,
    _root,
    blended,
    input_norms,
    normalized_input,
    normalized_integers,
    sum_of_squares,
)
from xtc_study.compress.quantization.layers import LowBitLinear
from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.compress.quantization.quantizers import WeightFormat, dequantize
from xtc_study.recipe import Recipe

BY_TOKEN = ActivationFormat(8)


def low_bit(weights: WeightFormat | None, activations: ActivationFormat | None, norm: InputNorm) -> LowBitLinear:
    torch.manual_seed(0)
    return LowBitLinear(nn.Linear(12, 8), weights, activations, norm)


def test_norm_of_a_quantised_input_by_hand() -> None:
    """At 4 bits 3.5 and 7 are 4 (3.5 rounded to even) and 7 steps of 1: sqrt((16 + 49) / 2), with epsilon 1e-6."""
    integers, scale = quantize_activation(torch.tensor([[3.5, 7.0], [0.0, 0.0]]), ActivationFormat(4))
    assert integers.tolist() == [[4, 7], [0, 0]] and scale is not None and scale.tolist() == [[1], [0]]
    found = normalized_integers(integers, scale, 7)
    assert found.factor[0].item() == pytest.approx(1 / (32.5 + 1e-6) ** 0.5, rel=1e-6)
    assert found.factor[1].item() == pytest.approx(1000, rel=1e-6), "a token of zeros stays zero"
    half = normalized_integers(integers, scale, 7, torch.tensor(0.5))
    assert half.factor[0].item() == pytest.approx(0.5 + 0.5 / 32.5**0.5, rel=1e-6)


def test_norm_of_an_input_in_full_precision_by_hand() -> None:
    assert normalized_input(torch.tensor([[1.0, -7.0]])).factor.item() == pytest.approx(0.2, rel=1e-6)


def test_low_bit_linear_with_a_norm_by_hand() -> None:
    """The input 254, 0 has the root mean square 254 / sqrt(2), so it becomes sqrt(2), 0."""
    linear = nn.Linear(2, 1)
    linear.weight, linear.bias = nn.Parameter(torch.tensor([[3.0, -3.0]])), nn.Parameter(torch.tensor([1.0]))
    layer = LowBitLinear(linear, WeightFormat(1), BY_TOKEN, InputNorm())
    assert layer(torch.tensor([[254.0, 0.0]])).item() == pytest.approx(3 * 2**0.5 + 1, rel=1e-6)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 2200), st.integers(2, 8), st.integers(0, 2**31))
def test_sum_of_squares_is_exact(columns: int, bits: int, seed: int) -> None:
    """Also where a float32 sum would not be: 2,200 squares of 127 exceed 2^24."""
    largest = 2 ** (bits - 1) - 1
    generator = torch.Generator().manual_seed(seed)
    integers = torch.randint(largest - 1, largest + 1, (2, columns), generator=generator).float()
    exact = (integers.long() ** 2).sum(-1, keepdim=True).float()
    assert torch.equal(sum_of_squares(integers, largest), exact)


def test_roots_are_rounded_correctly() -> None:
    """As a compiled engine has them; those of torch's float32 are not, on a CPU with MKL."""
    x = torch.rand(20_000, generator=torch.Generator().manual_seed(0)) * 30
    assert np.array_equal(_root(x).numpy(), np.sqrt(x.numpy()))


@pytest.mark.parametrize("share", [None, 0.0, 0.3, 1.0])
@pytest.mark.parametrize("activations", [None, BY_TOKEN, ActivationFormat(2)], ids=["plain", "8 bits", "2 bits"])
@pytest.mark.parametrize("weights", [None, WeightFormat(1, "row"), WeightFormat(2, "group:4")], ids=str)
def test_value_and_gradients_equal_those_of_the_normalised_linear(
    weights: WeightFormat | None, activations: ActivationFormat | None, share: float | None
) -> None:
    norm = InputNorm()
    layer = low_bit(weights, activations, norm)
    norm.share = None if share is None else torch.tensor(share)
    x = (0.3 * torch.randn(2, 5, 12)).requires_grad_()
    y = layer(x)
    downstream = torch.randn_like(y)
    y.backward(downstream)

    plain = LowBitLinear(nn.Linear(12, 8), None, activations)
    rounded = plain.quantized_input(x).value.clone().requires_grad_()
    part = 1.0 if share is None else share
    rms = (rounded.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    weight = dequantize(layer.quantized_weight()).clone().requires_grad_()
    expected = F.linear((1 - part) * rounded + part * rounded / rms, weight, layer.bias.detach())
    expected.backward(downstream)
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(x.grad, rounded.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(layer.weight.grad, weight.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("activations", [None, BY_TOKEN], ids=["plain", "8 bits"])
def test_share_of_0_is_no_norm_and_of_1_the_whole_norm_bit_for_bit(activations: ActivationFormat | None) -> None:
    norm = InputNorm()
    layer, x = low_bit(WeightFormat(1), activations, norm), torch.randn(4, 12)
    whole = layer(x)
    norm.share = torch.ones(())
    assert torch.equal(layer(x), whole)
    norm.share = torch.zeros(())
    without = layer(x)
    layer.input_norm = None
    assert torch.equal(layer(x), without) and not torch.allclose(whole, without, rtol=1e-2)


def test_normalised_outputs_do_not_depend_on_the_size_of_a_token() -> None:
    layer, x = low_bit(WeightFormat(1), BY_TOKEN, InputNorm()), torch.randn(4, 12)
    torch.testing.assert_close(layer(64 * x), layer(x), rtol=1e-5, atol=1e-5)


def test_a_norm_under_autocast_is_close_to_fp32() -> None:
    layer, x = low_bit(WeightFormat(1), BY_TOKEN, InputNorm()), torch.randn(16, 12, requires_grad=True)
    exact = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.bfloat16 and (y.float() - exact).norm() <= 0.01 * exact.norm()
    y.float().square().sum().backward()
    assert x.grad is not None and x.grad.isfinite().all()


def test_queries_keys_and_values_share_one_normalised_input(
    tiny: Callable[..., Any], batch: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def counted(*given: Any) -> Any:
        calls.append(given)
        return normalized_integers(*given)

    monkeypatch.setattr(shared_input, "normalized_integers", counted)
    model = tiny("bert", layers=4)
    make_low_bit(model, Recipe.of(task="toy-sentiment", input_norm="rms"))
    model(**batch("bert"))
    assert len(calls) == 4 * 4 + 1


def test_one_norm_serves_a_model_and_is_blended_only_within_the_block(tiny: Callable[..., Any]) -> None:
    model = tiny("bert")
    make_low_bit(model, Recipe.of(task="toy-sentiment", input_norm="rms"))
    linears = [module for module in model.modules() if isinstance(module, LowBitLinear)]
    assert len(input_norms(model)) == 1 and all(linear.input_norm is linears[0].input_norm for linear in linears)
    with pytest.raises(KeyboardInterrupt), blended(model, "cpu") as share:
        assert share.item() == 0 and linears[-1].input_norm.share is share
        raise KeyboardInterrupt
    assert linears[-1].input_norm.share is None
    assert input_norms(tiny("bert")) == []
    assert not any("norm" in name for name in linears[0].state_dict()), "steps and files keep their tensors"
