"""Weights that start where quantisation changes the outputs least: by hand; the rule finds integers and scale."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xtc_study.compress.quantization.input_norm import blended
from xtc_study.compress.quantization.layers import LowBitLinear
from xtc_study.compress.quantization.least_squares import (
    _moments,
    _rounded_in_turn,
    _upper_factor,
    least_squares_start,
    least_squares_weight,
)
from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.compress.quantization.quantizers import (
    Quantized,
    WeightFormat,
    dequantize,
    quantize_weight,
)
from xtc_study.recipe import Recipe

ONE_BIT = WeightFormat(1)


def test_error_of_one_column_moves_into_the_next_by_hand() -> None:
    """H = [[4, 2], [2, 2]] has the inverse [[.5, -.5], [-.5, 1]] and its factor U = [[r, -r], [0, r]], r = sqrt(1/2).

    With the scale 2, the first weight 5 is rounded to 2, which loses 3. The second gets 3 * U01 / U00 = -3 subtracted:
    -1 + 3 = 2, which is +1 instead of -1. Of the sums of squares of the outputs' losses, (3, -3) H (3, -3) is 18; with
    the signs as they were it would be (3, 1) H (3, 1) = 50.
    """
    moments, weight, step = torch.tensor([[4.0, 2.0], [2.0, 2.0]]).double(), torch.tensor([[5.0, -1.0]]), 2.0
    inverse = torch.linalg.inv(moments)
    upper = torch.linalg.cholesky(inverse, upper=True)
    torch.testing.assert_close(upper, torch.tensor([[0.5**0.5, -(0.5**0.5)], [0, 0.5**0.5]]).double())
    integers, values = _rounded_in_turn(weight.double(), torch.full((1, 2), step).double(), upper, 1)
    assert integers.tolist() == [[1, 1]]
    torch.testing.assert_close(values, torch.tensor([[5.0, 2.0]]).double())
    for rounded, expected in ((integers * step, 18), (weight.sign().double() * step, 50)):
        lost = weight.double() - rounded
        assert float((lost @ moments @ lost.t()).squeeze()) == pytest.approx(expected)


def test_the_factor_is_that_of_the_damped_inverse() -> None:
    """The diagonal 3, 1 gets a hundredth of its mean, 0.02."""
    upper = _upper_factor(torch.tensor([[3.0, 1.0], [1.0, 1.0]]).double())
    damped = torch.tensor([[3.02, 1.0], [1.0, 1.02]]).double()
    torch.testing.assert_close(torch.linalg.inv(upper.t() @ upper), damped)
    assert upper[1, 0] == 0
    assert torch.equal(_upper_factor(torch.zeros(2, 2).double()), torch.eye(2).double()), "no input was seen"


def test_uncorrelated_inputs_keep_the_signs_and_the_scale() -> None:
    weight = torch.tensor([[0.5, -1.0, 0.25, -0.25]])
    found = least_squares_weight(weight, torch.diag(torch.tensor([1.0, 5.0, 2.0, 3.0])), ONE_BIT)
    torch.testing.assert_close(found, weight)


def test_ternary_latents_by_hand() -> None:
    """Of 1, -1, 0.1, 0.4 the mean magnitude is 0.625, the threshold 0.4375, the scale 1, so 0.1 and 0.4 become 0.

    Two of four are kept: the threshold is at least 0.7 * 2/4 * 1 = 0.35, to which 0.4 is cut, less a thousandth.
    """
    weight = torch.tensor([[1.0, -1.0, 0.1, -0.4]])
    found = least_squares_weight(weight, torch.eye(4), WeightFormat(2))
    torch.testing.assert_close(found, torch.tensor([[1.0, -1.0, 0.1, -0.35 * 0.999]]))


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([1, 2]),
    st.sampled_from(["tensor", "row", "group:4", "group:12"]),
    st.integers(1, 6),
    st.integers(0, 2**31),
)
def test_the_rule_finds_the_integers_and_the_scale(bits: int, granularity: str, rows: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(rows, 24, generator=generator)
    inputs = torch.randn(40, 24, generator=generator) @ torch.randn(24, 24, generator=generator)
    moments, fmt = (inputs.t() @ inputs).double(), WeightFormat(bits, granularity)
    scale = quantize_weight(weight, fmt).scale
    step = dequantize(Quantized(torch.ones_like(weight), scale)).double()
    integers, _ = _rounded_in_turn(weight.double(), step, _upper_factor(moments), bits)

    latent = least_squares_weight(weight, moments, fmt)
    found = quantize_weight(latent, fmt)
    assert torch.equal(found.integers.double(), integers)
    kept = integers.reshape(*scale.shape, -1).abs().sum(-1) > 0 if granularity != "tensor" else torch.tensor([[True]])
    torch.testing.assert_close(found.scale[kept], scale[kept], rtol=1e-5, atol=0)
    if bits == 2:  # a learnt scale rounds to the nearest integer instead
        assert torch.equal((latent / step).round().clamp(-1, 1), integers)


@pytest.mark.parametrize("granularity", ["tensor", "row", "group:16"])
@pytest.mark.parametrize("bits", [1, 2])
def test_outputs_lose_less_than_by_rounding(bits: int, granularity: str) -> None:
    """More columns than a block, and correlated inputs."""
    torch.manual_seed(0)
    weight, mixing = torch.randn(32, 160), torch.eye(160) + 0.5 * torch.randn(160, 160) / 160**0.5
    inputs, fmt = torch.randn(800, 160) @ mixing, WeightFormat(bits, granularity)
    latent = least_squares_weight(weight, (inputs.t() @ inputs).double(), fmt)
    lost = [
        float((inputs @ (weight - dequantize(quantize_weight(start, fmt))).t()).norm()) for start in (latent, weight)
    ]
    assert lost[0] < 0.97 * lost[1]


def test_zeros_stay_zeros() -> None:
    assert torch.equal(least_squares_weight(torch.zeros(2, 4), torch.eye(4), ONE_BIT), torch.zeros(2, 4))
    assert torch.equal(least_squares_weight(torch.zeros(2, 4), torch.eye(4), WeightFormat(2)), torch.zeros(2, 4))


def test_other_bits_are_refused() -> None:
    with pytest.raises(ValueError, match="bits=4: expected 1 or 2"):
        least_squares_weight(torch.ones(2, 2), torch.eye(2), WeightFormat(4))


@pytest.mark.parametrize("fields", [{"weight_bits": 1}, {"weight_bits": 2, "input_norm": "rms"}], ids=str)
def test_layers_are_solved_for_what_the_layers_below_give(
    tiny: Callable[..., Any], batch: Callable[..., Any], family: str, fields: dict[str, Any]
) -> None:
    """Each low-bit linear gets the weight of its own inputs, which change when a layer below gets its weights."""
    model, inputs = tiny(family, layers=2), batch(family)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    make_low_bit(model, Recipe.of(task="toy-sentiment", **fields))
    linears = {name: module for name, module in model.named_modules() if isinstance(module, LowBitLinear)}
    weights = least_squares_start(model, [inputs, inputs])
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {f"{name}.weight" for name in weights} and weights.keys() == linears.keys()

    # The first linear of the second layer, solved alone: with the first layer solved before, and without.
    stack = [name for name in linears if ".1." in name]
    again = tiny(family, layers=2)
    make_low_bit(again, Recipe.of(task="toy-sentiment", **fields))
    alone = again.get_submodule(stack[0])

    def solved() -> torch.Tensor:
        with blended(again, "cpu"), torch.no_grad():
            moments = _moments(again, {stack[0]: alone}, [inputs])
        return least_squares_weight(alone.weight, moments[stack[0]], alone.weight_format)

    assert not torch.allclose(solved(), weights[stack[0]])
    assert len(least_squares_start(again, [inputs], most_layers=1)) == 6
    torch.testing.assert_close(solved(), weights[stack[0]])
