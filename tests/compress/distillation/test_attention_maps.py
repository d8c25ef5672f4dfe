from __future__ import annotations

import math

import pytest
import torch

from xtc_study.compress.distillation.attention_maps import context_loss, map_loss

STUDENT = torch.tensor([[[[0.0, math.log(3)], [0.0, 0.0]]]])
TEACHER = torch.tensor([[[[0.5, 0.5], [0.25, 0.75]]]])
ROW = 0.5 * math.log(4 / 3)
"""The first row's divergence: 0.5 ln(0.5 / 0.25) + 0.5 ln(0.5 / 0.75)."""


def test_maps_are_a_sum_over_layers_of_means_over_rows() -> None:
    mask = torch.tensor([[1, 0]])
    assert float(map_loss([STUDENT], [TEACHER], mask)) == pytest.approx(ROW)
    assert float(map_loss([STUDENT] * 3, [TEACHER] * 3, mask)) == pytest.approx(3 * ROW)
    two_heads = [torch.cat([STUDENT, TEACHER.log()], 1)], [torch.cat([TEACHER, TEACHER], 1)]
    assert float(map_loss(*two_heads, mask)) == pytest.approx(ROW / 2), "the second head has no error"
    both = ROW + 0.75 * math.log(1.5) - 0.25 * math.log(2)
    assert float(map_loss([STUDENT], [TEACHER], None)) == pytest.approx(both / 2)


def test_contexts_are_a_sum_over_layers_of_mean_squared_errors() -> None:
    student, teacher = [torch.zeros(1, 2, 2)] * 2, [torch.tensor([[[1.0, 3.0], [7.0, 7.0]]])] * 2
    assert float(context_loss(student, teacher, torch.tensor([[1, 0]]))) == 2 * 5.0
    assert float(context_loss(student, teacher, None)) == 2 * 27.0


def test_different_numbers_of_layers_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        map_loss([STUDENT] * 2, [TEACHER], None)
