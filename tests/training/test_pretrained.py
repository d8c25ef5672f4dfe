from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.model_source import BUILTIN, ModelError, resolve_model
from xtc_study.packed.checkpoint import save_packed
from xtc_study.recipe import Recipe
from xtc_study.tasks.task import Task
from xtc_study.training.pretrained import encoder_shape, load_encoder, load_tokenizer

CLASSES = Task("t", "?", ("sentence",), ("a", "b", "c"), ("accuracy",))
REGRESSION = Task("t", "?", ("sentence",), (), ("pearson",))


@pytest.fixture
def models(tiny: Callable[..., Any], tmp_path: Path) -> Path:
    """A folder with one pre-trained model without a classifier, ``org/small``."""
    tiny("bert", layers=3).bert.save_pretrained(tmp_path / "models" / "org" / "small")
    return tmp_path / "models"


def test_a_model_is_found_by_name_in_the_models_folder(models: Path) -> None:
    assert Path(resolve_model("org/small", models)) == models / "org" / "small"
    shape = encoder_shape("org/small", models)
    assert (shape.num_hidden_layers, shape.hidden_size, shape.num_attention_heads, shape.vocab_size) == (3, 32, 4, 101)


def test_a_model_is_found_by_its_folder(models: Path) -> None:
    folder = str(models / "org" / "small")
    assert resolve_model(folder) == folder
    assert encoder_shape(folder).num_hidden_layers == 3


def test_a_hub_model_without_a_network_is_an_error() -> None:
    with pytest.raises(ModelError, match=r"model='no-org/no-model': not found locally or on the hub .*--models-dir"):
        encoder_shape("no-org/no-model")
    with pytest.raises(ModelError, match="model='no-org/no-model'"):
        load_encoder("no-org/no-model", CLASSES, 0)


def test_a_tokenizer_that_is_not_found_is_an_error() -> None:
    with pytest.raises(ModelError, match="model='no-org/no-model'"):
        load_tokenizer("no-org/no-model")


@pytest.mark.parametrize(("task", "outputs"), [(CLASSES, 3), (REGRESSION, 1)], ids=["classes", "regression"])
def test_the_classifier_has_the_outputs_of_the_task(models: Path, task: Task, outputs: int) -> None:
    for name in (BUILTIN, "org/small"):
        model = load_encoder(name, task, 0, models)
        assert model.classifier.out_features == model.config.num_labels == outputs
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_the_encoder_is_loaded_and_only_the_classifier_is_random(models: Path, tiny: Callable[..., Any]) -> None:
    saved = tiny("bert", layers=3).state_dict()
    one, same, other = (load_encoder("org/small", CLASSES, seed, models).state_dict() for seed in (0, 0, 1))
    assert set(one) == set(saved)
    for name, tensor in one.items():
        assert torch.equal(tensor, same[name])
        if not name.startswith("classifier."):
            assert torch.equal(tensor, saved[name])
            assert torch.equal(tensor, other[name])
    assert not torch.equal(one["classifier.weight"], other["classifier.weight"])


def test_a_classifier_for_other_labels_is_replaced(models: Path, tiny: Callable[..., Any]) -> None:
    tiny("bert", labels=2).save_pretrained(models / "two-labels")
    model = load_encoder("two-labels", CLASSES, 0, models)
    assert model.classifier.out_features == 3
    assert torch.equal(model.bert.pooler.dense.weight, tiny("bert", labels=2).bert.pooler.dense.weight)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_hidden_layers": 4}, r"lack weights .* \(bert\.encoder\.layer\.3\.attention.*, \.\.\.\)"),
        ({"vocab_size": 99}, r"lack .* in another size \(bert\.embeddings\.word_embeddings\.weight\)"),
    ],
    ids=str,
)
def test_weights_that_do_not_match_the_configuration_are_an_error(
    models: Path, change: dict[str, int], message: str
) -> None:
    config = models / "org" / "small" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **change}))
    with pytest.raises(ModelError, match=f"model='org/small': its files {message}"):
        load_encoder("org/small", CLASSES, 0, models)


def test_a_missing_head_is_drawn(models: Path, tiny: Callable[..., Any]) -> None:
    transformers.BertForMaskedLM(tiny("bert").config).save_pretrained(models / "masked-lm")  # without a pooler
    assert load_encoder("masked-lm", CLASSES, 0, models).classifier.out_features == 3


def test_the_builtin_encoder() -> None:
    shape = encoder_shape(BUILTIN)
    assert (shape.num_hidden_layers, shape.hidden_size) == (4, 64)
    one, same, other = (load_encoder(BUILTIN, CLASSES, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    words = "bert.embeddings.word_embeddings.weight"
    assert not torch.equal(one[words], other[words])
    assert one[words].shape == (len(load_tokenizer(BUILTIN)), 64)
    assert load_tokenizer(BUILTIN).pad_token_id == 0


def test_a_packed_folder_is_not_an_encoder(tiny: Callable[..., Any], tmp_path: Path) -> None:
    model = tiny("bert", layers=1)
    make_low_bit(model, Recipe.of(task="toy-sentiment"))
    save_packed(model, tmp_path)
    with pytest.raises(
        ModelError, match=r"is a packed folder, a finished student .* give the encoder that its README.md names"
    ):
        encoder_shape(str(tmp_path))
