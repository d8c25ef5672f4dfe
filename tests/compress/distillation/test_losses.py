from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xtc_study.compress.distillation.losses import (
    attention_loss,
    distillation_terms,
    hidden_loss,
    label_loss,
    logit_loss,
    soft_cross_entropy,
)

MASK = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]])
Pairs = tuple[list[torch.Tensor], list[torch.Tensor]]


def pairs(*shape: int, count: int = 3, seed: int = 0) -> Pairs:
    generator = torch.Generator().manual_seed(seed)
    draw = [torch.randn(*shape, generator=generator) for _ in range(2 * count)]
    return draw[:count], draw[count:]


HIDDEN = (3, 5, 4)
ATTENTION = (3, 2, 5, 5)


def numpy_error(pair: Pairs, counted: np.ndarray) -> float:
    """Sum over pairs the mean of the squared differences where ``counted`` is true."""
    return sum(
        float(np.mean(((one.numpy() - other.numpy()) ** 2)[np.broadcast_to(counted, one.shape)]))
        for one, other in zip(*pair, strict=True)
    )


def test_hidden_loss_equals_numpy() -> None:
    pair, real = pairs(*HIDDEN), MASK.numpy().astype(bool)
    assert float(hidden_loss(*pair, MASK)) == pytest.approx(numpy_error(pair, real[:, :, None]), rel=1e-5)
    everything = numpy_error(pair, np.ones_like(real)[:, :, None])
    assert float(hidden_loss(*pair, None)) == pytest.approx(everything, rel=1e-5)
    assert abs(everything - numpy_error(pair, real[:, :, None])) > 0.01


def test_attention_loss_equals_numpy() -> None:
    pair, real = pairs(*ATTENTION), MASK.numpy().astype(bool)
    both = real[:, None, :, None] & real[:, None, None, :]
    assert float(attention_loss(*pair, MASK)) == pytest.approx(numpy_error(pair, both), rel=1e-5)
    everything = numpy_error(pair, np.ones_like(both))
    assert float(attention_loss(*pair, None)) == pytest.approx(everything, rel=1e-5)
    assert abs(everything - numpy_error(pair, both)) > 0.01


def test_losses_match_hand_computed_values() -> None:
    one, other = [torch.zeros(1, 2, 2)], [torch.tensor([[[1.0, 3.0], [100.0, 100.0]]])]
    assert float(hidden_loss(one, other, torch.tensor([[1, 0]]))) == 5.0
    assert float(hidden_loss(one, other, None)) == 5002.5
    assert float(hidden_loss(one * 3, other * 3, torch.tensor([[1, 0]]))) == 15.0, "a sum over layers, not a mean"
    scores = [torch.tensor([[[[2.0, 9.0], [9.0, 9.0]], [[4.0, 9.0], [9.0, 9.0]]]])]
    zeros = [torch.zeros(1, 2, 2, 2)]
    assert float(attention_loss(zeros, scores, torch.tensor([[1, 0]]))) == 10.0
    assert float(attention_loss(zeros, scores, None)) == 63.25


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), size=st.floats(-1e4, 1e4))
@pytest.mark.parametrize(("loss", "shape"), [(hidden_loss, HIDDEN), (attention_loss, ATTENTION)])
def test_content_of_padding_does_not_change_losses(loss: Any, shape: tuple[int, ...], seed: int, size: float) -> None:
    student, teacher = pairs(*shape, seed=seed)
    real = MASK[:, :, None] if loss is hidden_loss else MASK[:, None, :, None] * MASK[:, None, None, :]
    changed = [torch.where(real.bool().expand(one.shape), one, size * torch.ones_like(one)) for one in student]
    assert torch.equal(loss(changed, teacher, MASK), loss(student, teacher, MASK))
    if abs(size) > 10:
        assert loss(changed, teacher, None) > loss(student, teacher, None)


@pytest.mark.parametrize("loss", [hidden_loss, attention_loss])
def test_more_padding_does_not_change_losses(loss: Any) -> None:
    shape, extra = (HIDDEN, (0, 0, 0, 3)) if loss is hidden_loss else (ATTENTION, (0, 3, 0, 3))
    student, teacher = pairs(*shape)
    longer = [torch.nn.functional.pad(one, extra, value=7.0) for one in student]
    other = [torch.nn.functional.pad(one, extra, value=-3.0) for one in teacher]
    mask = torch.nn.functional.pad(MASK, (0, 3))
    assert float(loss(longer, other, mask)) == pytest.approx(float(loss(student, teacher, MASK)), rel=1e-6)


def test_padding_gets_no_gradient() -> None:
    student, teacher = pairs(*HIDDEN, count=1)
    student[0].requires_grad_()
    hidden_loss(student, teacher, MASK).backward()
    assert ((student[0].grad != 0).all(-1) == MASK.bool()).all()


def test_different_numbers_of_states_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        hidden_loss([torch.zeros(1, 1, 1)] * 2, [torch.zeros(1, 1, 1)], None)


def test_soft_cross_entropy_equals_numpy() -> None:
    (student,), (teacher,) = pairs(6, 3, count=1)
    s, t = student.numpy().astype(float), teacher.numpy().astype(float)
    target = np.exp(t) / np.exp(t).sum(1, keepdims=True)
    expected = -(target * (s - np.log(np.exp(s).sum(1, keepdims=True)))).mean()
    assert float(soft_cross_entropy(student, teacher)) == pytest.approx(expected, rel=1e-5)
    assert float(logit_loss(student, teacher)) == pytest.approx(expected, rel=1e-5)


def test_soft_cross_entropy_averages_over_classes_too() -> None:
    student, teacher = torch.zeros(2, 2), torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]])
    assert float(soft_cross_entropy(student, teacher)) == pytest.approx(math.log(2) / 2)
    tilted = torch.tensor([[math.log(3.0), 0.0]])
    expected = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25)) / 2
    assert float(soft_cross_entropy(tilted, tilted)) == pytest.approx(expected)


def test_logit_loss_of_a_regression_is_the_mean_squared_error() -> None:
    assert float(logit_loss(torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [5.0]]))) == 6.5


def test_temperature_by_hand() -> None:
    """At T = 2 the teacher's ln 9 and 0 are ln 3 and 0: 3/4 and 1/4. The term is multiplied by 4."""
    student, teacher = torch.zeros(1, 2), torch.tensor([[math.log(9.0), 0.0]])
    assert float(logit_loss(student, teacher, 2)) == pytest.approx(4 * math.log(2) / 2)
    found = float(logit_loss(teacher, teacher, 2))
    assert found == pytest.approx(-4 * (0.75 * math.log(0.75) + 0.25 * math.log(0.25)) / 2)
    assert torch.equal(logit_loss(student, teacher, 1), soft_cross_entropy(student, teacher))
    one, other = torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [5.0]])
    assert float(logit_loss(one, other, 2)) == 6.5, "a regression has no softmax"


def test_label_loss_matches_hand_computed_values() -> None:
    logits, labels = torch.tensor([[0.0, math.log(3.0)], [0.0, 0.0]]), torch.tensor([1, 0])
    assert float(label_loss(logits, labels)) == pytest.approx((-math.log(0.75) + math.log(2)) / 2)
    assert float(label_loss(torch.tensor([[1.0], [2.0]]), torch.tensor([3.0, 5.0]))) == 6.5


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sums_are_taken_in_fp32(dtype: torch.dtype) -> None:
    student, teacher = pairs(*HIDDEN, count=1)
    low, high = [student[0].to(dtype)], [teacher[0].to(dtype)]
    loss = hidden_loss(low, high, MASK)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, hidden_loss([low[0].float()], [high[0].float()], MASK))


def output(layers: int, seed: int) -> SimpleNamespace:
    hidden, attention = pairs(*HIDDEN, count=layers + 1, seed=seed)[0], pairs(*ATTENTION, count=layers, seed=seed)[0]
    return SimpleNamespace(hidden_states=hidden, attentions=attention, logits=pairs(3, 2, count=1, seed=seed)[0][0])


def test_each_student_layer_learns_from_its_teacher_layer() -> None:
    student, teacher, labels = output(2, seed=1), output(4, seed=2), torch.tensor([0, 1, 1])
    terms = ("attention", "hidden", "logits", "labels")
    losses = distillation_terms(terms, student, teacher, (1, 3), (0, 2, 4), MASK, labels)
    assert list(losses) == list(terms)
    attention = student.attentions, [teacher.attentions[1], teacher.attentions[3]]
    hidden = student.hidden_states, [teacher.hidden_states[0], teacher.hidden_states[2], teacher.hidden_states[4]]
    assert torch.equal(losses["attention"], attention_loss(*attention, MASK))
    assert torch.equal(losses["hidden"], hidden_loss(*hidden, MASK))
    assert torch.equal(losses["logits"], soft_cross_entropy(student.logits, teacher.logits))
    assert torch.equal(losses["labels"], torch.nn.functional.cross_entropy(student.logits, labels))
    assert all(loss.ndim == 0 for loss in losses.values())


def test_only_requested_terms_are_computed() -> None:
    student = SimpleNamespace(logits=torch.zeros(2, 3))
    assert list(distillation_terms(("labels",), student, None, (), (), None, torch.tensor([0, 1]))) == ["labels"]
