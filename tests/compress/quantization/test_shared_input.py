from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from xtc_study.compress.quantization import shared_input
from xtc_study.compress.quantization.activations import ActivationFormat, quantize_activation
from xtc_study.compress.quantization.layers import LowBitLinear
from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.compress.quantization.quantizers import WeightFormat
from xtc_study.compress.quantization.shared_input import linear_input, one_pass, share_inputs
from xtc_study.recipe import Recipe

BY_TOKEN = ActivationFormat(8)


def test_value_is_integers_times_scale() -> None:
    x = torch.randn(2, 3, 8, requires_grad=True)
    found, (integers, scale) = linear_input(x, BY_TOKEN, torch.float32, None), quantize_activation(x, BY_TOKEN)
    assert torch.equal(found.integers, integers) and torch.equal(found.value, integers * scale)
    assert not found.value.requires_grad


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each time an input was quantised."""
    found: list[int] = []

    def counted(*given: object) -> object:
        found.append(1)
        return quantize_activation(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(shared_input, "quantize_activation", counted)
    return found


def test_tensor_is_quantized_once_per_pass(calls: list[int]) -> None:
    x = torch.randn(2, 8)
    with one_pass():
        first = linear_input(x, BY_TOKEN, torch.float32, None)
        assert all(linear_input(x, BY_TOKEN, torch.float32, None) is first for _ in range(2))
    assert len(calls) == 1
    linear_input(x, BY_TOKEN, torch.float32, None)
    linear_input(x, BY_TOKEN, torch.float32, None)
    assert len(calls) == 3


def test_queries_keys_and_values_share_one_quantized_input(
    tiny: Callable[..., Any], batch: Callable[..., Any], calls: list[int]
) -> None:
    model = tiny("bert", layers=4)
    make_low_bit(model, Recipe.of(task="toy-sentiment"))
    model.train()(**batch("bert")).logits.sum().backward()
    assert len(calls) == 4 * 4 + 1, "attention, its output, and the two of the feed-forward part; then the pooler"


CHANGES: dict[str, Callable[[torch.Tensor], Any]] = {
    "data": lambda x: x.data.mul_(2),
    "numpy": lambda x: x.numpy().__imul__(2),
    "in place": lambda x: x.mul_(2),
}


@pytest.mark.parametrize("change", CHANGES)
def test_linear_notices_a_changed_input(change: str) -> None:
    layer = LowBitLinear(nn.Linear(8, 4, bias=False), WeightFormat(1), BY_TOKEN)
    x = torch.randn(2, 8)
    before = layer(x).detach()
    CHANGES[change](x)
    assert torch.equal(layer(x), 2 * before)


@pytest.mark.parametrize("change", CHANGES)
def test_block_notices_a_changed_input(tiny: Callable[..., Any], change: str) -> None:
    model = tiny("bert")
    make_low_bit(model, Recipe.of(task="toy-sentiment"))
    block, x = model.bert.encoder.layer[0].attention.self, torch.randn(1, 3, 32)
    before = block(x)[0].detach()
    CHANGES[change](x)
    after = block(x)[0].detach()
    assert torch.equal(after, block(x.clone())[0]) and not torch.equal(after, before)


@pytest.mark.parametrize("error", [TypeError, KeyboardInterrupt])
def test_failed_or_interrupted_pass_clears_the_cache(
    tiny: Callable[..., Any], calls: list[int], error: type[BaseException]
) -> None:
    class Stops(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise error

    model = tiny("bert")
    make_low_bit(model, Recipe.of(task="toy-sentiment"))
    block, x = model.bert.encoder.layer[0].attention.self, torch.randn(1, 3, 32)
    block.value = Stops()
    with pytest.raises(error):
        block(x)
    assert calls and shared_input._last.blocks == 0 and shared_input._last.result is None
    del calls[:]
    linear_input(x, BY_TOKEN, torch.float32, None)
    linear_input(x, BY_TOKEN, torch.float32, None)
    assert len(calls) == 2


def test_interrupted_pass_leaves_no_stale_result(tiny: Callable[..., Any]) -> None:
    model = tiny("bert")
    make_low_bit(model, Recipe.of(task="toy-sentiment"))
    block, x = model.bert.encoder.layer[0].attention.self, torch.randn(1, 3, 32)
    stop = block.value.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        block(x)
    stop.remove()
    before = block.query(x).detach()
    x.data.mul_(2)
    assert torch.equal(block.query(x), block.query(x.clone())) and not torch.equal(block.query(x), before)


def test_sharing_block_keeps_its_class(tiny: Callable[..., Any], calls: list[int]) -> None:
    model, x = tiny("bert"), torch.randn(1, 3, 32)
    block = model.bert.encoder.layer[0].attention.self
    kind, signature = type(block), inspect.signature(block.forward)
    make_low_bit(model, Recipe.of(task="toy-sentiment"))
    assert isinstance(block, kind) and type(block).__name__ == kind.__name__
    assert inspect.signature(block.forward) == signature
    once = type(block)
    share_inputs(block)
    assert type(block) is once is type(model.bert.encoder.layer[1].attention.self)
    again = copy.deepcopy(block)
    del calls[:]
    assert torch.equal(again(x)[0], block(x)[0]) and len(calls) == 2


def test_changed_tensor_format_or_content_is_quantized_again() -> None:
    with one_pass():
        _another_is_quantized_again()


def _another_is_quantized_again() -> None:
    x = torch.randn(2, 8)
    first = linear_input(x, BY_TOKEN, torch.float32, None)
    assert linear_input(x.clone(), BY_TOKEN, torch.float32, None) is not first
    first = linear_input(x, BY_TOKEN, torch.float32, None)
    assert linear_input(x, ActivationFormat(4), torch.float32, None) is not first
    first = linear_input(x, BY_TOKEN, torch.float32, None)
    x.mul_(2)
    doubled = linear_input(x, BY_TOKEN, torch.float32, None)
    assert torch.equal(doubled.value, 2 * first.value)


def test_inputs_are_not_shared_with_a_static_range_or_in_inference_mode() -> None:
    x, limit = torch.randn(2, 8), torch.tensor(1.0)
    fmt = ActivationFormat(8, "tensor", True)
    with one_pass():
        assert linear_input(x, fmt, torch.float32, limit) is not linear_input(x, fmt, torch.float32, limit)
    with torch.inference_mode(), one_pass():
        y = torch.randn(2, 8)
        before = linear_input(y, BY_TOKEN, torch.float32, None)
        y.mul_(2)
        assert torch.equal(linear_input(y, BY_TOKEN, torch.float32, None).value, 2 * before.value)


def test_full_precision_input_is_its_own_value() -> None:
    x = torch.randn(2, 8)
    found = linear_input(x, None, torch.bfloat16, None)
    assert found.scale is None and torch.equal(found.value, x.bfloat16()) and found.integers is found.value
