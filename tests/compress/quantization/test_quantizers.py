from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from xtc_study.compress.quantization.quantizers import (
    ODD_SHARE,
    WeightFormat,
    dequantize,
    grouped,
    largest_integer,
    quantize_weight,
)

Rows = list[list[float]]


@pytest.mark.parametrize(
    ("weight", "fmt", "integers", "scale"),
    [
        pytest.param([[1, -3], [0, 6]], WeightFormat(1), [[1, -1], [1, 1]], [[2.5]], id="binary tensor, 0 is +1"),
        pytest.param([[1, -3], [0, 6]], WeightFormat(1, "row"), [[1, -1], [1, 1]], [[2], [3]], id="binary row"),
        pytest.param(
            [[1, -3, 2, 2], [0, 6, -1, -2]],
            WeightFormat(1, "group:2"),
            [[1, -1, 1, 1], [1, 1, -1, -1]],
            [[2, 2], [3, 1.5]],
            id="binary groups of 2",
        ),
        pytest.param([[-0.0, -1.0]], WeightFormat(1), [[1, -1]], [[0.5]], id="binary, minus zero is +1"),
        pytest.param([[0, 0], [2, -4]], WeightFormat(1, "row"), [[1, 1], [1, -1]], [[0], [3]], id="binary zero row"),
        pytest.param([[-5]], WeightFormat(1), [[-1]], [[5]], id="binary one element"),
        pytest.param([[1, -2, 0.5, -0.5]], WeightFormat(2), [[1, -1, 0, 0]], [[1.5]], id="ternary tensor"),
        pytest.param([[7, 13]], WeightFormat(2), [[0, 1]], [[13]], id="ternary, a weight at the threshold is 0"),
        pytest.param([[7.5, -13]], WeightFormat(2), [[1, -1]], [[10.25]], id="ternary, just above the threshold"),
        pytest.param([[0, 0], [0, 3]], WeightFormat(2, "row"), [[0, 0], [0, 1]], [[0], [3]], id="ternary zero row"),
        pytest.param([[-4]], WeightFormat(2), [[-1]], [[4]], id="ternary one element"),
        pytest.param([[3, -3, 3]], WeightFormat(2), [[1, -1, 1]], [[3]], id="ternary all equal"),
        pytest.param(
            [[1, -2, 0.5, -0.5], [8, 1, 0, 5]],
            WeightFormat(2, "group:2"),
            [[0, -1, 1, -1], [1, 0, 0, 1]],
            [[2, 0.5], [8, 5]],
            id="ternary groups of 2",
        ),
        pytest.param(
            [[0, -0.0, 2.49, -2.49, 2.5, -2.5, 5.02, -1]],
            WeightFormat(2, levels="odd"),
            [[1, 1, 1, -1, 3, -3, 3, -1]],
            [[1.248]],
            id="2 bits without a zero, mean magnitude 2, 3 from 2.496 on",
        ),
        pytest.param(
            [[5, 0], [2.5, -1.5], [0, 0]],
            WeightFormat(2, "row", levels="odd"),
            [[3, 1], [3, -1], [1, 1]],
            [[1.56], [1.248], [0]],
            id="2 bits without a zero, rows, one of zeros",
        ),
        pytest.param([[-2, 4]], WeightFormat(3, levels="odd"), [[-2, 3]], [[4 / 3]], id="3 bits have one set only"),
        pytest.param(
            [[3, 2.5, 1.5, 0.5, -0.5, -1.5, -2.6]],
            WeightFormat(3),
            [[3, 2, 2, 0, 0, -2, -3]],
            [[1]],
            id="3 bits, halves go to the even integer",
        ),
        pytest.param([[7, -7, 3.5, -2.5, 0]], WeightFormat(4), [[7, -7, 4, -2, 0]], [[1]], id="4 bits"),
        pytest.param([[63.5, -1.25, 0.2]], WeightFormat(8), [[127, -2, 0]], [[0.5]], id="8 bits"),
        pytest.param([[-127, 63.4]], WeightFormat(8), [[-127, 63]], [[1]], id="8 bits, a negative extreme"),
        pytest.param([[0, 0], [3, -1]], WeightFormat(3, "row"), [[0, 0], [3, -1]], [[0], [1]], id="3 bits, zero row"),
        pytest.param(
            [[7, 1, 14, -2], [21, 3, 0, 0]],
            WeightFormat(4, "group:2"),
            [[7, 1, 7, -1], [7, 1, 0, 0]],
            [[1, 2], [3, 0]],
            id="4 bits, groups of 2, one of zeros",
        ),
        pytest.param([[5, -5, 1, 1]], WeightFormat(1, clip=2.5), [[1, -1, 1, 1]], [[1.75]], id="binary clipped"),
        pytest.param([[30, -3, 1]], WeightFormat(3, clip=3.0), [[3, -3, 1]], [[1]], id="3 bits clipped"),
    ],
)
def test_integers_and_scale_match_hand_computed_values(
    weight: Rows, fmt: WeightFormat, integers: Rows, scale: Rows
) -> None:
    quantized = quantize_weight(torch.tensor(weight, dtype=torch.float32), fmt)
    assert quantized.integers.tolist() == integers
    torch.testing.assert_close(quantized.scale, torch.tensor(scale, dtype=torch.float32), rtol=2e-7, atol=0)
    assert quantized.integers.dtype == quantized.scale.dtype == torch.float32


@pytest.mark.parametrize(
    ("granularity", "shape"), [("tensor", (1, 1)), ("row", (4, 1)), ("group:3", (4, 2)), ("group:6", (4, 1))]
)
@pytest.mark.parametrize("bits", [1, 2, 5])
def test_scale_has_the_shape_of_its_granularity(bits: int, granularity: str, shape: tuple[int, int]) -> None:
    weight = torch.arange(24.0).reshape(4, 6)
    quantized = quantize_weight(weight, WeightFormat(bits, granularity))
    assert quantized.scale.shape == shape
    assert quantized.integers.shape == dequantize(quantized).shape == (4, 6)


def test_dequantize_matches_hand_computed_values() -> None:
    weight = torch.tensor([[1.0, -3.0, 2.0, 2.0], [0.0, 6.0, -1.0, -2.0]])
    assert dequantize(quantize_weight(weight, WeightFormat(1))).tolist() == [
        [2.125, -2.125, 2.125, 2.125],
        [2.125, 2.125, -2.125, -2.125],
    ]
    assert dequantize(quantize_weight(weight, WeightFormat(1, "row"))).tolist() == [
        [2, -2, 2, 2],
        [2.25, 2.25, -2.25, -2.25],
    ]
    assert dequantize(quantize_weight(weight, WeightFormat(1, "group:2"))).tolist() == [
        [2, -2, 2, 2],
        [3, 3, -1.5, -1.5],
    ]


def test_levels_without_a_zero_have_the_smallest_error_on_normal_weights() -> None:
    """The error's derivative in the scale s is 0 where E[w q] = s E[q^2], with levels that change at 0 and 2 s."""

    def surplus(s: float) -> float:
        density_at_0, density_at_2s = 1 / math.sqrt(2 * math.pi), math.exp(-2 * s * s) / math.sqrt(2 * math.pi)
        return 2 * (density_at_0 + 2 * density_at_2s) - s * (1 + 8 * math.erfc(math.sqrt(2) * s))

    low, high = 0.1, 2.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if surplus(middle) > 0 else (low, middle)
    assert 2 * low == pytest.approx(0.9957, abs=5e-5), "Max 1960, table II: the distance of four levels"
    assert low / math.sqrt(2 / math.pi) == pytest.approx(ODD_SHARE, abs=5e-5)


@pytest.mark.parametrize(("bits", "levels"), [*((bits, "ternary") for bits in range(1, 9)), (2, "odd")])
@pytest.mark.parametrize("granularity", ["tensor", "row", "group:2"])
def test_zeros_stay_zeros(bits: int, levels: str, granularity: str) -> None:
    values = dequantize(quantize_weight(torch.zeros(3, 4), WeightFormat(bits, granularity, levels=levels)))
    assert torch.equal(values, torch.zeros(3, 4))


@pytest.mark.parametrize("bits", range(1, 9))
def test_changing_the_last_group_changes_no_other(bits: int) -> None:
    """Changing one group changes no other."""
    weight = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    changed = weight.clone()
    changed[1, 4:] *= 10
    fmt = WeightFormat(bits, "group:4")
    one, other = dequantize(quantize_weight(weight, fmt)), dequantize(quantize_weight(changed, fmt))
    assert not torch.equal(one[1, 4:], other[1, 4:])
    one[1, 4:] = other[1, 4:] = 0
    assert torch.equal(one, other)


def test_groups_that_do_not_divide_the_columns_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'group:4'.*10 columns"):
        quantize_weight(torch.ones(2, 10), WeightFormat(1, "group:4"))


@pytest.mark.parametrize("bits", [-1, 0, 9, 32, 1.5, 2.0, True, "1", None])
def test_invalid_bits_are_refused(bits: Any) -> None:
    with pytest.raises(ValueError, match=f"bits={bits!r}: expected 1 "):
        WeightFormat(bits)


@pytest.mark.parametrize(
    "granularity", ["group:0", "group:", "group:-4", "group:1.5", "group:\u0663", "group: 4", "rows", "", None, 64]
)
def test_invalid_granularities_are_refused(granularity: Any) -> None:
    for use in (lambda: WeightFormat(1, granularity), lambda: grouped(torch.ones(2, 4), granularity)):
        with pytest.raises(ValueError, match=rf"granularity={re.escape(repr(granularity))}: expected 'tensor'"):
            use()


@pytest.mark.parametrize("clip", [0, -1.0, True, float("nan"), float("inf"), "2.5"])
def test_invalid_clips_are_refused(clip: Any) -> None:
    with pytest.raises(ValueError, match=f"clip={clip!r}: expected a number above 0"):
        WeightFormat(1, clip=clip)


def test_invalid_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="levels='even': expected one of ternary, odd"):
        WeightFormat(2, levels="even")


@pytest.mark.parametrize(
    "fmt",
    [
        *(WeightFormat(1), WeightFormat(2), WeightFormat(2, "row"), WeightFormat(1, "group:2")),
        *(WeightFormat(2, levels="odd"), WeightFormat(2, "row", levels="odd")),
    ],
)
def test_magnitudes_beyond_float32_give_a_non_finite_scale(fmt: WeightFormat) -> None:
    """Ternary once gave zeros with scale 0 here, as for a matrix of zeros; DeepSpeed's gives NaN."""
    weight = torch.tensor([[3e38, -3e38, 3e38, 3e38], [1.0, 1.0, 1.0, 1.0]])
    scale = quantize_weight(weight, fmt).scale
    assert not torch.isfinite(scale[0]).any()
    alone = torch.tensor(ODD_SHARE if fmt.is_odd else 1.0)
    assert fmt.granularity == "tensor" or (scale[1] == alone).all(), "other groups do not change"


@pytest.mark.parametrize("fmt", [*map(WeightFormat, (1, 2, 3, 8)), WeightFormat(2, levels="odd")])
@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_non_finite_weight_gives_a_non_finite_scale(fmt: WeightFormat, value: float) -> None:
    assert not torch.isfinite(quantize_weight(torch.tensor([[1.0, value]]), fmt).scale).any()


MATRICES = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.floats(-100, 100, width=32, allow_subnormal=False).map(lambda x: x if abs(x) > 1e-20 else 0.0),
)


@settings(deadline=None, max_examples=60)
@given(matrix=MATRICES, bits=st.integers(3, 8), granularity=st.sampled_from(["tensor", "row", "group:1"]))
def test_error_is_at_most_half_a_step(matrix: np.ndarray, bits: int, granularity: str) -> None:
    weight = torch.from_numpy(matrix)
    quantized = quantize_weight(weight, WeightFormat(bits, granularity))
    largest = 2 ** (bits - 1) - 1
    assert quantized.integers.abs().max() <= largest
    assert torch.equal(quantized.integers, quantized.integers.round())
    error = (weight.double() - dequantize(quantized).double()).abs()
    bound = quantized.scale.double().expand_as(weight) * (0.5 + 1e-4)
    assert (error <= bound).all()


@settings(deadline=None, max_examples=60)
@given(matrix=MATRICES, bits=st.sampled_from([1, 2]), change=st.floats(-0.5, 0.5))
def test_scale_is_the_least_squares_optimum_of_its_signs(matrix: np.ndarray, bits: int, change: float) -> None:
    weight = torch.from_numpy(matrix)
    integers, scale = (part.double() for part in quantize_weight(weight, WeightFormat(bits)))

    def error(factor: float) -> float:
        return float((weight.double() - factor * scale * integers).square().sum())

    assert error(1) <= error(1 + change) * (1 + 1e-6) + 1e-30


@settings(deadline=None, max_examples=60)
@given(matrix=MATRICES, bits=st.integers(1, 8), granularity=st.sampled_from(["tensor", "row", "group:1"]))
def test_quantizing_twice_changes_no_integer(matrix: np.ndarray, bits: int, granularity: str) -> None:
    fmt = WeightFormat(bits, granularity)
    once = quantize_weight(torch.from_numpy(matrix), fmt)
    twice = quantize_weight(dequantize(once), fmt)
    # A weight of a zero group dequantises to +0 or -0; both are +1 in binary.
    assert torch.equal(once.integers, twice.integers)
    assert torch.allclose(once.scale, twice.scale, rtol=1e-5, atol=0)


@pytest.mark.parametrize(("bits", "largest"), [(1, 1), (2, 1), (3, 3), (4, 7), (8, 127)])
def test_largest_integer_of_each_bit_width(bits: int, largest: int) -> None:
    assert largest_integer(bits) == WeightFormat(bits).largest == largest
