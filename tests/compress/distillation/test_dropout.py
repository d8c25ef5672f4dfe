from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from xtc_study.compress.distillation.dropout import cheap_dropout, dropout, dropout_mask

SHAPE = torch.Size((1000, 1000))


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.01])
def test_dropout_has_its_probability_and_is_independent(probability: float) -> None:
    torch.manual_seed(0)
    mask, other = dropout_mask(SHAPE, probability), dropout_mask(SHAPE, probability)
    dropped, again = (mask == 0).double(), (other == 0).double()
    n, deviation = mask.numel(), (probability * (1 - probability)) ** 0.5
    assert mask.unique().tolist() == pytest.approx([0, 1 / (1 - probability)])
    for share in (dropped.mean(), again.mean()):
        assert float(share) == pytest.approx(probability, abs=5 * deviation / n**0.5)
    lags = [dropped.view(-1)[lag:] * dropped.view(-1)[:-lag] for lag in (1, 2, 4, 8, 12, 64, 1000)]
    for both in (*lags, dropped * again):
        assert float(both.mean()) == pytest.approx(probability**2, abs=6 * deviation / n**0.5)
    rows = dropped.mean(1)
    assert float(rows.std()) == pytest.approx(deviation / SHAPE[1] ** 0.5, rel=0.15), "rows as random as the whole"


def test_value_and_gradient_follow_one_mask() -> None:
    x = torch.randn(50, 40, requires_grad=True)
    torch.manual_seed(3)
    y = dropout(x, 0.25, True)
    y.backward(torch.ones_like(y))
    torch.manual_seed(3)
    mask = dropout_mask(x.shape, 0.25)
    assert torch.equal(y, x * mask) and torch.equal(x.grad, mask)


def test_dropout_equals_torchs_in_evaluation_and_at_the_extremes() -> None:
    x = torch.randn(4, 4)
    assert torch.equal(dropout(x, 0.3, False), x)
    assert torch.equal(dropout(x, 0.0, True), x)
    assert torch.equal(dropout(x, 1.0, True), torch.zeros(4, 4))


def test_sixteen_bit_results_equal_torchs() -> None:
    x = torch.ones(64, 64, dtype=torch.bfloat16)
    assert set(dropout(x, 0.1, True).unique().tolist()) == set(F.dropout(x, 0.1, True).unique().tolist())


def test_model_uses_cheap_dropout_only_within_the_block() -> None:
    model = nn.Sequential(nn.Linear(30, 30), nn.Dropout(0.5))
    x = torch.randn(20, 30)
    with cheap_dropout(model):
        torch.manual_seed(1)
        inside = model(x)
        torch.manual_seed(1)
        assert torch.equal(inside, dropout(model[0](x), 0.5, True))
        assert torch.equal(model.eval()(x), model[0](x))
    torch.manual_seed(1)
    outside = model.train()(x)
    torch.manual_seed(1)
    assert torch.equal(outside, F.dropout(model[0](x), 0.5, True))
    assert type(model[1]) is nn.Dropout
