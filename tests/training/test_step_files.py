"""A step's files give exactly the model that was written, also in families whose checkpoints have other names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.recipe import Recipe
from xtc_study.training.step_files import WrittenOtherwiseError, check_written, read_model, write_model

SHAPE = {"vocab_size": 101, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "pad_token_id": 0}
ONE_BIT = Recipe.of(task="cola", weight_bits=1)
LEARNED = Recipe.of(task="cola", granularity="row", weight_scale="learned")


@pytest.mark.parametrize("low_bit", [None, ONE_BIT, LEARNED], ids=["fp32", "1-bit", "learned scales"])
@pytest.mark.parametrize("name", ["nomic_bert", "jina_embeddings_v3", "gte", "esm", "bert"])
def test_every_family_is_read_back_exactly(name: str, low_bit: Recipe | None, tmp_path: Path) -> None:
    """``save_pretrained`` renames tensors of the first four, and a strict load of what it writes fails."""
    config = transformers.AutoConfig.for_model(name, intermediate_size=64, **SHAPE)
    model = transformers.AutoModelForSequenceClassification.from_config(config)
    if low_bit is not None:
        make_low_bit(model, low_bit)
    write_model(model, tmp_path)
    check_written(model, tmp_path, low_bit)
    assert set(load_file(tmp_path / "model.safetensors")) == set(model.state_dict())
    found = read_model(tmp_path, low_bit).state_dict()
    assert all(torch.equal(tensor, found[name]) for name, tensor in model.state_dict().items())


def test_the_tensor_that_differs_is_named(tiny: Callable[..., Any], tmp_path: Path) -> None:
    model = tiny("bert", layers=1)
    write_model(model, tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    tensors["classifier.bias"][0] += 1
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(WrittenOtherwiseError, match=r"^classifier\.bias has other values$"):
        check_written(model, tmp_path)
    del tensors["classifier.bias"]
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(WrittenOtherwiseError, match=r"RuntimeError: .*Missing key.*classifier\.bias"):
        check_written(model, tmp_path)


def test_nan_equals_nan(tiny: Callable[..., Any], tmp_path: Path) -> None:
    model = tiny("bert", layers=1)
    with torch.no_grad():
        model.classifier.bias[0] = float("nan")
    write_model(model, tmp_path)
    check_written(model, tmp_path)
