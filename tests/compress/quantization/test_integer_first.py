from __future__ import annotations

import pytest
import torch

from xtc_study.compress.quantization.integer_first import integer_first_linear, integer_linear
from xtc_study.compress.quantization.quantizers import Quantized

PRODUCT = 127 * 127
ONE = torch.ones(1, 1)


def whole_numbers(rows: int, columns: int, low: int, high: int, seed: int) -> torch.Tensor:
    return torch.randint(low, high + 1, (rows, columns), generator=torch.Generator().manual_seed(seed)).float()


def exact(q: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
    return (q.long()[:, None, :] * s.long()[None, :, :]).sum(-1)


@pytest.mark.parametrize(
    ("low", "high"),
    [
        pytest.param(-127, 127, id="both signs"),
        pytest.param(100, 127, id="sums beyond 2^24"),
        pytest.param(127, 127, id="extremes"),
    ],
)
@pytest.mark.parametrize("inner", [1, 31, 1040, 1041, 3072, 5000])
def test_integer_linear_equals_the_sum_in_int64(inner: int, low: int, high: int) -> None:
    q, s = whole_numbers(7, inner, low, high, 0), whole_numbers(5, inner, low, high, 1)
    y = integer_first_linear(q, ONE, Quantized(s, ONE), None, PRODUCT)
    assert torch.equal(y, exact(q, s).float())


@pytest.mark.parametrize(("low", "high"), [(-127, 127), (90, 127)], ids=["both signs", "sums beyond 2^24"])
@pytest.mark.parametrize("inner", [256, 3072, 5000])
def test_column_order_changes_no_bit(inner: int, low: int, high: int) -> None:
    q, s = whole_numbers(6, inner, low, high, 2), whole_numbers(4, inner, low, high, 3)
    token_scale, row_scale = torch.rand(6, 1) + 0.01, torch.rand(4, 1) + 0.01
    bias = torch.randn(4)
    expected = integer_first_linear(q, token_scale, Quantized(s, row_scale), bias, PRODUCT)
    for seed in range(3):
        order = torch.randperm(inner, generator=torch.Generator().manual_seed(seed))
        y = integer_first_linear(q[:, order], token_scale, Quantized(s[:, order], row_scale), bias, PRODUCT)
        assert torch.equal(y, expected)


def test_output_equals_float64_with_one_rounding_per_factor() -> None:
    q, s = whole_numbers(6, 5000, -127, 127, 4), whole_numbers(4, 5000, -127, 127, 5)
    token_scale, row_scale, bias = torch.rand(6, 1), torch.rand(4, 1), torch.randn(4)
    y = integer_first_linear(q, token_scale, Quantized(s, row_scale), bias, PRODUCT)
    products = q.double() @ s.double().t()
    assert torch.equal(y, products.float() * (row_scale.reshape(-1) * token_scale) + bias)


def test_non_integer_operands_use_one_slice() -> None:
    x, w = torch.randn(3, 2000), torch.randn(4, 2000)
    assert torch.equal(integer_linear(x, w, None), torch.nn.functional.linear(x, w))


WHOLE = torch.tensor([[1.0, -1, 1, 1], [1, 1, -1, 0]])


@pytest.mark.parametrize(
    ("scale", "token_scale", "expected"),
    [
        pytest.param([[0.5]], None, [13, 20], id="tensor scale, plain input"),
        pytest.param([[0.5], [2]], [[2]], [16, 20], id="row scales, token scale"),
        pytest.param([[0.5, 1], [2, 4]], 2, [23, 8], id="groups of 2, one scale for the input"),
    ],
)
def test_output_matches_hand_computed_values(scale: list, token_scale: object, expected: list[float]) -> None:
    q, bias = torch.tensor([[1.0, 2, 3, 4]]), torch.tensor([10.0, 20.0])
    of_tokens = None if token_scale is None else torch.tensor(token_scale, dtype=torch.float32)
    weight = Quantized(WHOLE, torch.tensor(scale, dtype=torch.float32))
    assert integer_first_linear(q, of_tokens, weight, bias, 127).tolist() == [expected]


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 4, 3)], ids=str)
def test_output_keeps_the_leading_shape(shape: tuple[int, ...]) -> None:
    weight = Quantized(torch.ones(5, 3), torch.ones(5, 3))
    assert integer_first_linear(torch.ones(shape), torch.ones(()), weight, None, 127).shape == (*shape[:-1], 5)
