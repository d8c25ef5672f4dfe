from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from xtc_study.compress.encoder_parts import encoder_parts
from xtc_study.compress.quantization.activations import ActivationFormat
from xtc_study.compress.quantization.layers import LowBitEmbedding, LowBitLinear
from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.compress.quantization.quantizers import WeightFormat
from xtc_study.recipe import Recipe

HEAD = {"bert": {"bert.pooler.dense"}, "roberta": {"classifier.dense"}, "distilbert": {"pre_classifier"}}


def replaced(model: Any) -> dict[str, Any]:
    return {
        name: module for name, module in model.named_modules() if isinstance(module, LowBitLinear | LowBitEmbedding)
    }


def recipe(**fields: Any) -> Recipe:
    return Recipe.of(task="toy-sentiment", **fields)


@pytest.mark.parametrize("pooler", [True, False], ids=["with pooler", "without pooler"])
def test_layers_head_and_word_table_are_replaced(tiny: Callable[..., Any], family: str, pooler: bool) -> None:
    model = tiny(family)
    parts = encoder_parts(model)
    assert len(parts.layer_linears) == 24
    make_low_bit(model, recipe(weight_bits=2, embedding_bits=4, quantise_pooler=pooler))
    modules = replaced(model)
    head = HEAD[family] if pooler else set()
    assert set(modules) == {*parts.layer_linears, *head, parts.word_embeddings}
    table = modules.pop(parts.word_embeddings)
    assert table.weight_format == WeightFormat(4, "row")
    assert model.get_input_embeddings() is table
    assert {module.weight_format for module in modules.values()} == {WeightFormat(2, "tensor")}
    assert {module.activation_format for module in modules.values()} == {ActivationFormat(8, "token")}


@pytest.mark.parametrize(
    ("fields", "linears", "tables"),
    [
        pytest.param({"weight_bits": 32, "activation_bits": 32}, 0, 0, id="all full precision"),
        pytest.param({"weight_bits": 32, "activation_bits": 8}, 25, 0, id="activations only"),
        pytest.param({"weight_bits": 32, "activation_bits": 32, "embedding_bits": 1}, 0, 1, id="table only"),
        pytest.param({"weight_bits": 1, "activation_bits": 32}, 25, 1, id="weights only"),
        pytest.param({"weight_bits": 1, "embedding_bits": 32}, 25, 0, id="table left"),
    ],
)
def test_each_recipe_field_replaces_its_modules(
    tiny: Callable[..., Any], family: str, fields: dict, linears: int, tables: int
) -> None:
    model = tiny(family)
    make_low_bit(model, recipe(**fields))
    modules = replaced(model).values()
    assert sum(isinstance(module, LowBitLinear) for module in modules) == linears
    assert sum(isinstance(module, LowBitEmbedding) for module in modules) == tables
    for module in modules:
        if isinstance(module, LowBitLinear):
            assert (module.weight_format is None) == (fields["weight_bits"] == 32)
            assert (module.activation_format is None) == (fields.get("activation_bits") == 32)


def test_recipe_fields_reach_the_layers(tiny: Callable[..., Any]) -> None:
    model = tiny("bert")
    make_low_bit(
        model,
        recipe(weight_bits=4, granularity="group:8", weight_clip=2.5, activation_bits=4, activation_scale="tensor",
               activation_range="static"),
    )  # fmt: skip
    layer = model.bert.encoder.layer[0].attention.self.query
    assert layer.weight_format == WeightFormat(4, "group:8", 2.5)
    assert layer.activation_format == ActivationFormat(4, "tensor", static=True)


def test_full_precision_recipe_changes_no_logit(
    tiny: Callable[..., Any], batch: Callable[..., Any], family: str
) -> None:
    model = tiny(family)
    with torch.no_grad():
        before = model(**batch(family)).logits
        make_low_bit(model, recipe(weight_bits=32, activation_bits=32))
        assert torch.equal(model(**batch(family)).logits, before)
        make_low_bit(model, recipe(weight_bits=1))
        assert not torch.allclose(model(**batch(family)).logits, before, atol=1e-3)


def test_parameters_keep_their_names_and_values(tiny: Callable[..., Any], family: str) -> None:
    model = tiny(family)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    make_low_bit(model, recipe(weight_bits=1))
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)


@pytest.mark.parametrize("training", [True, False])
def test_replaced_modules_keep_the_training_mode(tiny: Callable[..., Any], training: bool) -> None:
    model = tiny("bert").train(training)
    make_low_bit(model, recipe(weight_bits=1, activation_scale="tensor", activation_range="static"))
    assert {module.training for module in model.modules()} == {training}


def test_groups_that_do_not_divide_are_refused_before_any_replacement(tiny: Callable[..., Any]) -> None:
    model = tiny("bert")
    with pytest.raises(ValueError, match="group:64"):
        make_low_bit(model, recipe(weight_bits=1, granularity="group:64"))
    assert replaced(model) == {}
