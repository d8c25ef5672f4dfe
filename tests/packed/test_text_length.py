from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xtc_study.deploy.model_card import write_card
from xtc_study.deploy.predict import predict_texts
from xtc_study.packed.checkpoint import save_packed
from xtc_study.packed.loading import load
from xtc_study.packed.text_length import longest_text
from xtc_study.recipe import Recipe
from xtc_study.training.pretrained import load_tokenizer

RECIPE = Recipe.of(task="toy-sentiment", max_length=9)
METRICS = {"rows": [], "size_bytes": 1, "size_bytes_paper": 1, "teacher_size_bytes": 1}


def saved(tiny: Callable[..., Any], folder: Path, max_length: int | None = None) -> tuple[Any, Any]:
    model, tokenizer = tiny("bert", layers=1), load_tokenizer("builtin:tiny")
    model.resize_token_embeddings(len(tokenizer))
    save_packed(model, folder, tokenizer, max_length=max_length)
    return load(folder), tokenizer


def test_file_records_its_maximum_length(tiny: Callable[..., Any], tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    model, before = saved(tiny, tmp_path, 7)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert (model.config.xtc_max_length, tokenizer.model_max_length, tokenizer.padding_side) == (7, 7, "right")
    assert before.model_max_length > 1000, "the encoder's own tokenizer is not changed"
    assert longest_text(tmp_path, model, tokenizer) == 7
    short, long = "good " * 5, "good " * 5 + "bad " * 30
    one, other = predict_texts(tmp_path, [short, long])
    assert {**one, "text": ""} == {**other, "text": ""}, "text after 7 tokens is not read"


def test_older_folders_use_the_run_the_card_or_the_tokenizer(tiny: Callable[..., Any], tmp_path: Path) -> None:
    run = tmp_path / RECIPE.run_id
    model, tokenizer = saved(tiny, run / "model")
    assert longest_text(run / "model", model) == 40, "no length is recorded: all positions of the model"
    tokenizer.model_max_length = 30
    assert longest_text(run / "model", model, tokenizer) == 30
    write_card(run / "model", RECIPE, METRICS, "accuracy")
    assert longest_text(run / "model", model, tokenizer) == 9, "the card takes precedence over the tokenizer"
    other = Recipe.of(task="toy-sentiment", max_length=8)
    (run / "params.json").write_text(json.dumps({"recipe": other.scientific()}))
    assert longest_text(run / "model", model, tokenizer) == 9, "another run's parameters do not count"
    (run / "model" / "README.md").unlink()
    (run / "params.json").write_text(json.dumps({"recipe": RECIPE.scientific()}))
    assert longest_text(run / "model", model, tokenizer) == 9


@pytest.mark.parametrize("value", [0, -1, "9", 1.5, True, None])
def test_invalid_recorded_length_is_ignored(tiny: Callable[..., Any], value: Any, tmp_path: Path) -> None:
    model, _ = saved(tiny, tmp_path)
    model.config.xtc_max_length = value
    assert longest_text(tmp_path, model) == 40


def test_length_is_limited_by_the_models_positions(tiny: Callable[..., Any], tmp_path: Path) -> None:
    model, _ = saved(tiny, tmp_path, 500)
    assert longest_text(tmp_path, model) == 40
