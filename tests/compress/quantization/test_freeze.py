"""Integers and scales are frozen when training ends, as the forward pass computes them, and never recomputed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from xtc_study.compress.quantization import quantizers
from xtc_study.compress.quantization.freeze import Freezable, freeze
from xtc_study.compress.quantization.layers import LowBitEmbedding, LowBitLinear
from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.compress.quantization.quantizers import Quantized, WeightFormat
from xtc_study.compress.reduction.word_table import cut_vocabulary
from xtc_study.recipe import Recipe

FORMATS: dict[str, dict[str, Any]] = {
    "1 bit": {"weight_bits": 1},
    "2 bits a row": {"weight_bits": 2, "granularity": "row"},
    "2 bits, groups, every table": {"weight_bits": 2, "granularity": "group:16", "quantise_tables": True},
    "2 bits without a zero": {"weight_bits": 2, "two_bit_levels": "odd"},
    "learned, 1 bit a row": {"weight_bits": 1, "granularity": "row", "weight_scale": "learned"},
    "learned, every table": {"weight_bits": 2, "quantise_tables": True, "weight_scale": "learned"},
    "4 bits, clipped": {"weight_bits": 4, "weight_clip": 0.1},
    "table only": {"weight_bits": 32, "embedding_bits": 1, "activation_bits": 32},
    "inputs only": {"weight_bits": 32},
}


@pytest.fixture
def student(tiny: Callable[..., Any]) -> Callable[..., Any]:
    def make(**fields: Any) -> Any:
        model = tiny("bert")
        make_low_bit(model, Recipe.of(task="toy-sentiment", **fields))
        return model.eval()

    return make


@pytest.fixture
def another_order(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Change every mean of magnitudes, as another device would."""
    binary, ternary = quantizers.binary, quantizers.ternary

    def other(rule: Callable[..., Quantized]) -> Callable[..., Quantized]:
        def changed(groups: torch.Tensor, dtype: torch.dtype = torch.float32) -> Quantized:
            integers, scale = rule(groups, dtype)
            return Quantized(integers, torch.nextafter(scale, torch.tensor(10.0)))

        return changed

    def begin() -> None:
        monkeypatch.setattr(quantizers, "binary", other(binary))
        monkeypatch.setattr(quantizers, "ternary", other(ternary))

    return begin


@torch.no_grad()
@pytest.mark.parametrize("name", FORMATS)
def test_frozen_values_equal_those_of_the_forward_pass(
    student: Callable[..., Any], batch: Callable[..., Any], another_order: Callable[[], None], name: str
) -> None:
    model = student(**FORMATS[name])
    before, state = model(**batch("bert")).logits, list(model.state_dict())
    freeze(model)
    assert torch.equal(model(**batch("bert")).logits, before)
    another_order()
    assert torch.equal(model(**batch("bert")).logits, before), "nothing is recomputed"
    assert torch.equal(copy.deepcopy(model)(**batch("bert")).logits, before)
    assert list(model.state_dict()) == state, "a saved step holds only the latent weights"


def test_freezing_keeps_int8_integers_and_float32_scales() -> None:
    layer = LowBitLinear(nn.Linear(4, 2), WeightFormat(2, "row"), None)
    layer.weight.data = torch.tensor([[1.0, -2.0, 0.5, -0.5], [8.0, 1.0, 0.0, 5.0]])
    layer.freeze_weight()
    integers, scale = layer.stored_weight()
    assert integers.dtype == torch.int8 and integers.tolist() == [[1, -1, 0, 0], [1, 0, 0, 1]]
    assert scale.dtype == torch.float32 and scale.tolist() == [[1.5], [6.5]]


@torch.no_grad()
def test_frozen_layer_thaws_on_training_or_new_weights() -> None:
    layer = LowBitLinear(nn.Linear(4, 2), WeightFormat(1), None).eval()
    once = layer.stored_weight()
    freeze(layer)
    layer.weight.mul_(2)
    freeze(layer)
    assert torch.equal(layer.quantized_weight().scale, once.scale)
    layer.train()
    assert torch.equal(layer.quantized_weight().scale, 2 * once.scale)
    freeze(layer)
    assert not layer.training
    layer.load_state_dict({name: 2 * tensor for name, tensor in layer.state_dict().items()})
    assert torch.equal(layer.quantized_weight().scale, 4 * once.scale)


@torch.no_grad()
@pytest.mark.parametrize("rows", [2, 101, 2500])
def test_table_is_frozen_as_lookups_of_many_rows(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for a GPU, which sums in another order if there are few rows."""
    right = quantizers.ternary

    def by_count(groups: torch.Tensor, dtype: torch.dtype = torch.float32) -> Quantized:
        integers, scale = right(groups, dtype)
        return Quantized(integers, torch.nextafter(scale, torch.tensor(10.0)) if len(groups) < 16 else scale)

    monkeypatch.setattr(quantizers, "ternary", by_count)
    table = LowBitEmbedding(nn.Embedding(rows, 24), WeightFormat(2, "row"))
    ids = torch.arange(320) % rows
    before = table(ids)
    freeze(table)
    assert table.stored_weight().integers.shape == (rows, 24) and table.stored_weight().scale.shape == (rows, 1)
    assert torch.equal(table(ids), before)
    assert torch.equal(table(ids[:3]), before[:3]), "a lookup of few rows equals one of many"


@torch.no_grad()
def test_cut_vocabulary_keeps_frozen_rows(student: Callable[..., Any], another_order: Callable[[], None]) -> None:
    model, kept = student(weight_bits=2), [0, 3, 50, 100]
    freeze(model)
    table = model.get_input_embeddings()
    another_order()
    cut = cut_vocabulary(model, kept).get_input_embeddings()
    for whole, part in zip(table.stored_weight(), cut.stored_weight(), strict=True):
        assert torch.equal(whole[kept], part)
    assert torch.equal(cut(torch.arange(4)), table(torch.tensor(kept)))


@torch.no_grad()
@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("value", [1e38, float("inf"), float("nan")])
@pytest.mark.parametrize("place", ["bert.encoder.layer.2.output.dense", "bert.embeddings.word_embeddings"])
def test_error_names_the_module_with_a_non_finite_scale(
    student: Callable[..., Any], bits: int, value: float, place: str
) -> None:
    model = student(weight_bits=bits)
    weight = model.get_submodule(place).weight
    weight[1] = value
    if bits == 4 and value == 1e38:  # nothing is summed
        freeze(model)
        assert float(model.get_submodule(place).stored_weight().scale.max()) == pytest.approx(1e38 / 7)
        return
    with pytest.raises(ValueError, match=rf"module '{place}': a scale of its weight is (inf|nan), expected a finite"):
        freeze(model)


def test_full_precision_layers_are_not_frozen(student: Callable[..., Any]) -> None:
    model = student(weight_bits=32)
    freeze(model)
    layers = [module for module in model.modules() if isinstance(module, Freezable)]
    assert layers and all(layer.frozen_scale is None for layer in layers)
