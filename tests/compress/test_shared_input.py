from __future__ import annotations

import pytest
import torch

from xtc_study.compress import shared_input
from xtc_study.compress.activations import ActivationFormat, quantize_activation
from xtc_study.compress.shared_input import linear_input

BY_TOKEN = ActivationFormat(8)


def test_integers_times_scale_are_the_value() -> None:
    x = torch.randn(2, 3, 8, requires_grad=True)
    found, (integers, scale) = linear_input(x, BY_TOKEN, torch.float32, None), quantize_activation(x, BY_TOKEN)
    assert torch.equal(found.integers, integers) and torch.equal(found.value, integers * scale)
    assert not found.value.requires_grad


def test_one_tensor_is_quantised_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def counted(*given: object) -> object:
        calls.append(1)
        return quantize_activation(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(shared_input, "quantize_activation", counted)
    x = torch.randn(2, 8)
    first = linear_input(x, BY_TOKEN, torch.float32, None)
    assert all(linear_input(x, BY_TOKEN, torch.float32, None) is first for _ in range(2))
    assert len(calls) == 1


def test_another_tensor_format_or_content_is_quantised_anew() -> None:
    x = torch.randn(2, 8)
    first = linear_input(x, BY_TOKEN, torch.float32, None)
    assert linear_input(x.clone(), BY_TOKEN, torch.float32, None) is not first
    first = linear_input(x, BY_TOKEN, torch.float32, None)
    assert linear_input(x, ActivationFormat(4), torch.float32, None) is not first
    first = linear_input(x, BY_TOKEN, torch.float32, None)
    x.mul_(2)
    doubled = linear_input(x, BY_TOKEN, torch.float32, None)
    assert torch.equal(doubled.value, 2 * first.value)


def test_nothing_is_shared_where_a_layer_has_its_own_range_or_changes_cannot_be_seen() -> None:
    x, limit = torch.randn(2, 8), torch.tensor(1.0)
    form = ActivationFormat(8, "tensor", True)
    assert linear_input(x, form, torch.float32, limit) is not linear_input(x, form, torch.float32, limit)
    with torch.inference_mode():
        y = torch.randn(2, 8)
        before = linear_input(y, BY_TOKEN, torch.float32, None)
        y.mul_(2)
        assert torch.equal(linear_input(y, BY_TOKEN, torch.float32, None).value, 2 * before.value)


def test_an_input_left_alone_is_its_own_value() -> None:
    x = torch.randn(2, 8)
    found = linear_input(x, None, torch.bfloat16, None)
    assert found.scale is None and torch.equal(found.value, x.bfloat16()) and found.integers is found.value
