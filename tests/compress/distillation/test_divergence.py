from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from xtc_study.compress.distillation.divergence import divergence

SHAPE = (2, 3, 4, 5)  # batch, heads, rows, keys
ROWS = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]])


def drawn(seed: int) -> tuple[Tensor, Tensor]:
    """Scores of the student and probabilities of the teacher."""
    generator = torch.Generator().manual_seed(seed)
    student, teacher = (3 * torch.randn(SHAPE, generator=generator) for _ in range(2))
    return student, teacher.softmax(-1)


def test_two_rows_by_hand() -> None:
    """The student's rows are 1/4, 3/4 and 1/2, 1/2; the teacher's 1/2, 1/2 and 1/4, 3/4."""
    scores = torch.tensor([[[[0.0, math.log(3)], [0.0, 0.0]]]])
    target = torch.tensor([[[[0.5, 0.5], [0.25, 0.75]]]])
    first = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)  # 0.1438
    second = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)  # 0.1308
    assert float(divergence(scores, target, None)) == pytest.approx((first + second) / 2)
    assert float(divergence(scores, target, torch.tensor([[1, 0]]))) == pytest.approx(first)
    assert float(divergence(scores, target, torch.tensor([[0, 1]]))) == pytest.approx(second)
    certain = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
    assert float(divergence(scores, certain, None)) == pytest.approx((math.log(4) + math.log(2)) / 2)


@pytest.mark.parametrize("weight", [None, ROWS], ids=["all rows", "real rows"])
def test_value_and_gradient_equal_those_of_torch(weight: Tensor | None) -> None:
    student, target = drawn(0)
    ours, theirs = student.clone().requires_grad_(), student.clone().requires_grad_()
    found = divergence(ours, target, weight)
    rows = F.kl_div(theirs.log_softmax(-1), target, reduction="none").sum(-1)
    counted = torch.ones(2, 1, 4) if weight is None else weight[:, None]
    expected = (rows * counted).sum() / (counted.sum() * 3)
    torch.testing.assert_close(found, expected)
    (2 * found).backward()
    (2 * expected).backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000))
def test_it_is_zero_between_equals_and_positive_otherwise(seed: int) -> None:
    student, target = drawn(seed)
    assert abs(float(divergence(student, student.softmax(-1), ROWS))) < 1e-6
    assert float(divergence(student, target, ROWS)) > 0.01


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), shift=st.floats(-50, 50))
def test_scores_may_shift_by_a_number_for_each_row(seed: int, shift: float) -> None:
    student, target = drawn(seed)
    moved = student + shift * torch.arange(4.0)[:, None]
    torch.testing.assert_close(
        divergence(moved, target, ROWS), divergence(student, target, ROWS), rtol=1e-4, atol=1e-5
    )


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), size=st.floats(-1e4, 1e4))
def test_rows_that_do_not_count_and_masked_keys_change_nothing(seed: int, size: float) -> None:
    student, target = drawn(seed)
    other = torch.where(ROWS[:, None, :, None] == 1, student, size)
    assert torch.equal(divergence(other, target, ROWS), divergence(student, target, ROWS))
    lowest = torch.finfo(torch.float32).min
    longer, masked = F.pad(student, (0, 2), value=lowest + size), F.pad(target, (0, 2))
    torch.testing.assert_close(divergence(longer, masked, ROWS), divergence(student, target, ROWS))


def test_scores_in_bf16_are_compared_in_fp32() -> None:
    student, target = drawn(0)
    low = student.bfloat16().requires_grad_()
    found = divergence(low, target, None)
    assert found.dtype == torch.float32 and torch.equal(found, divergence(low.detach().float(), target, None))
    found.backward()
    assert low.grad is not None and low.grad.dtype == torch.bfloat16
