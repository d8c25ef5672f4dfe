"""Which norms of inputs and which starts a recipe may combine with what."""

from __future__ import annotations

from typing import Any

import pytest

from xtc_study.recipe import Recipe, RecipeError


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"input_norm": "rms", "activation_scale": "tensor"}, "input_norm 'rms' needs activation_scale 'token'"),
        (
            {"input_norm": "rms", "activation_scale": "tensor", "activation_range": "static"},
            "input_norm 'rms' needs activation_scale 'token'",
        ),
        ({"input_norm": "rms", "weight_bits": 32, "activation_bits": 32}, "input_norm 'rms' needs .* below 32"),
        (
            {"weight_start": "least-squares", "weight_bits": 4},
            "weight_start='least-squares' needs weight_bits of 1 or 2",
        ),
        (
            {"weight_start": "least-squares", "weight_bits": 2, "two_bit_levels": "odd"},
            "weight_start='least-squares' needs two_bit_levels 'ternary'",
        ),
        ({"weight_start": "least-squares", "weight_clip": 1}, "weight_start='least-squares' needs no weight_clip"),
        (
            {"weight_start": "least-squares", "activation_scale": "tensor", "activation_range": "static"},
            "weight_start='least-squares' needs activation_range 'dynamic'",
        ),
        ({"weight_start": "least-squares", "progressive": 0.2}, "weight_start='least-squares' needs progressive of 0"),
        (
            {"word_start": "static", "weight_bits": 32, "activation_bits": 32},
            "word_start='static' needs weight_bits, embedding_bits or activation_bits below 32",
        ),
    ],
    ids=str,
)
def test_norms_and_starts_that_do_not_fit_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Recipe.of(task="cola", **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"input_norm": "rms", "activation_scale": "tensor", "activation_bits": 32},
        {"input_norm": "rms", "weight_bits": 32},
        {"weight_start": "least-squares", "embedding_bits": 2, "two_bit_levels": "odd"},
        {"weight_start": "least-squares", "weight_bits": 2, "weight_scale": "learned", "input_norm": "rms"},
        {"word_start": "static", "weight_bits": 32, "activation_bits": 32, "embedding_bits": 8},
    ],
    ids=str,
)
def test_norms_and_starts_that_fit_are_taken(fields: dict[str, Any]) -> None:
    Recipe.of(task="cola", **fields)
