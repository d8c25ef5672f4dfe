from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from xtc_study.compress.distillation.relations import relation_loss, relation_scores

MASK = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])


def operands(seed: int, heads: int = 2, width: int = 3) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, heads, 5, width, generator=generator) for _ in range(3)]


def test_scores_are_dot_products_over_the_root_of_the_width() -> None:
    vectors = torch.tensor([[[[2.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]]]])  # one head of width 4
    assert relation_scores(vectors, 1, None).tolist() == [[[[2.0, 1.0], [1.0, 2.0]]]]
    halves = relation_scores(vectors, 2, None) * math.sqrt(2)
    assert torch.allclose(halves, torch.tensor([[[[4.0, 2.0], [2.0, 2.0]], [[0.0, 0.0], [0.0, 2.0]]]]))


def test_two_heads_become_one_of_both_their_widths() -> None:
    heads = operands(0)[0]
    together = heads.transpose(1, 2).reshape(2, 1, 5, 6)  # the vectors of a position, head after head
    torch.testing.assert_close(relation_scores(heads, 1, None), relation_scores(together, 1, None))
    torch.testing.assert_close(relation_scores(together, 2, None), relation_scores(heads, 2, None))


def test_loss_by_hand() -> None:
    """Two positions, one head of width 1. Queries 1 and 0 relate by 1, 0 / 0, 0: rows e/(e+1), 1/(e+1) and 1/2, 1/2.

    The teacher's queries are 0: rows 1/2, 1/2. Keys and values are equal in both.
    """
    ones, zeros = torch.tensor([[[[1.0], [0.0]]]]), torch.zeros(1, 1, 2, 1)
    row = 0.5 * math.log(0.5 * (math.e + 1) / math.e) + 0.5 * math.log(0.5 * (math.e + 1))
    found = relation_loss([ones, zeros, ones], [zeros, zeros, ones], None)
    assert float(found) == pytest.approx(row / 2), "the mean over two rows, of which the second has no error"
    assert float(relation_loss([ones] * 3, [zeros] * 3, None)) == pytest.approx(3 * row / 2)
    alone = torch.tensor([[1, 0]])
    assert float(relation_loss([ones] * 3, [zeros] * 3, alone)) == 0, "one token relates to itself alone"


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000))
def test_loss_is_zero_between_equals_and_positive_otherwise(seed: int) -> None:
    one, other = operands(seed), operands(seed + 1)
    assert abs(float(relation_loss(one, one, MASK))) < 1e-6
    assert float(relation_loss(one, other, MASK)) > 0.01


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), size=st.floats(-1e3, 1e3))
def test_padding_has_no_influence(seed: int, size: float) -> None:
    one, other = operands(seed), operands(seed + 1)
    expected = relation_loss(one, other, MASK)
    changed = [torch.where(MASK[:, None, :, None] == 1, vectors, size) for vectors in one]
    assert torch.equal(relation_loss(changed, other, MASK), expected)
    longer, others = ([F.pad(vectors, (0, 0, 0, 2), value=size) for vectors in all_of] for all_of in (one, other))
    torch.testing.assert_close(relation_loss(longer, others, F.pad(MASK, (0, 2))), expected)


def test_a_teacher_with_other_heads_is_regrouped_into_the_students() -> None:
    student, teacher = operands(0, heads=2, width=3), operands(1, heads=4, width=4)
    regrouped = [vectors.transpose(1, 2).reshape(2, 5, 2, 8).transpose(1, 2) for vectors in teacher]
    torch.testing.assert_close(relation_loss(student, teacher, MASK), relation_loss(student, regrouped, MASK))
    with pytest.raises(ValueError, match="2 heads do not divide vectors of 9 numbers"):
        relation_loss(student, operands(1, heads=3, width=3), MASK)


def test_gradients_reach_each_operand() -> None:
    student = [vectors.requires_grad_() for vectors in operands(0)]
    relation_loss(student, operands(1), MASK).backward()
    for vectors in student:
        assert (
            vectors.grad is not None and vectors.grad[0, :, 3:].abs().sum() == 0 < vectors.grad[0, :, :3].abs().sum()
        )
