"""Fields of distillation and intervention that do not fit together are refused, with what would."""

from __future__ import annotations

from typing import Any

import pytest

from xtc_study.recipe import Recipe, RecipeError

FULL = {"weight_bits": 32, "activation_bits": 32}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"attention_loss": "map"}, "attention_loss='map': expected 'scores', 'maps' or 'relations'"),
        ({"relation_layer": 3}, "relation_layer=3 needs attention_loss 'relations'"),
        ({"relation_layer": 3, "attention_loss": "maps"}, "relation_layer=3 needs attention_loss 'relations'"),
        ({"attention_loss": "maps", "attention_weight": 0}, "attention_loss='maps' needs an attention_weight above 0"),
        ({"attention_weight": 0, "hidden_weight": 0, "stages": 2}, "stages=2 needs attention_weight or hidden_weight"),
        (
            {"attention_weight": 0, "hidden_weight": 0, "reduce_stages": 3},
            "reduce_stages=3 needs.*set reduce_stages=1",
        ),
        ({"attention_weight": -1}, "attention_weight=-1: expected at least 0"),
        ({"temperature": 0}, "temperature=0: expected more than 0"),
        ({"intervention": 1}, "intervention=1: expected less than 1"),
        ({"intervention": 0.3, **FULL}, "intervention=0.3 needs weight_bits, embedding_bits or activation_bits below"),
        ({"intervention": 0.6, "stages": 2}, "intervention=0.6 with stages=2: expected at most 1/2"),
        ({"intervention": 0.4, "stages": 3}, "intervention=0.4 with stages=3: expected at most 1/3"),
        ({"intervention": 0.3, "stages": 0}, "intervention=0.3 needs stages of 1 to 3"),
        ({"label_weight": 1, "stages": 0}, "label_weight=1.0 needs stages of 1 to 3"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Recipe.of(task="cola", **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"attention_weight": 0, "hidden_weight": 0},
        {"attention_weight": 0, "hidden_weight": 0.5, "stages": 3},
        {"attention_weight": 0, "intervention": 0.3},
        {"attention_loss": "maps", "quantise_attention": True, "pad_in_loss": True, "intervention": 0.9},
        {"attention_loss": "relations", "relation_layer": 0, "intervention": 0.5, "stages": 2},
        {"intervention": 0.3, "weight_bits": 32},
        {"intervention": 0.3, "weight_bits": 32, "activation_bits": 32, "embedding_bits": 8},
    ],
    ids=str,
)
def test_what_fits_is_a_recipe(fields: dict[str, Any]) -> None:
    assert Recipe.of(task="cola", **fields).scientific() == {"task": "cola", **fields}
