"""Parameters are counted without torch, as torch counts them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from xtc_study.compress.reduction.layers import reduced
from xtc_study.runs.encoder_size import EncoderSize, encoder_size
from xtc_study.tasks.task import Task
from xtc_study.training.pretrained import load_encoder, untrained_encoder


def count(model: Any) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_builtin_encoder_and_bert_base() -> None:
    tiny = load_encoder("builtin:tiny", Task("t", "?", ("sentence",), ("a", "b"), ("accuracy",)), 0)
    size = encoder_size("builtin:tiny")
    assert size is not None and size.depth == 4
    assert size.parameters() + 2 * 64 + 2 == count(tiny), "but for the classifier"
    assert size.parameters(0.5) + 2 * 64 + 2 == count(reduced(tiny, [1, 3]))
    with torch.device("meta"):
        base = untrained_encoder("bert-base-uncased", num_labels=2)
    size = encoder_size("bert-base-uncased")
    assert size is not None and size.parameters() + 2 * 768 + 2 == count(base)


def test_a_folder_is_counted_by_its_headers(family: str, tiny: Callable[..., Any], tmp_path: Path) -> None:
    model = tiny(family, layers=3)
    model.save_pretrained(tmp_path / "models" / "m", max_shard_size="50KB")
    assert len(list((tmp_path / "models" / "m").glob("*.safetensors"))) > 1
    size = encoder_size("m", tmp_path / "models")
    assert size is not None and size.depth == 3 and size.parameters() == count(model)
    assert size.parameters(1 / 3) == count(tiny(family, layers=1))


def test_half_of_the_inner_units_are_two_thirds_of_half_a_layer() -> None:
    assert EncoderSize(2, 1200, 100).parameters(ffn=0.5) == 100 + 800
    assert EncoderSize(2, 1200, 100).parameters(0.5, 0.25) == 100 + 300


@pytest.mark.parametrize("name", ["nobody/nothing", "./none", "builtin:huge", "a name/of no/model"])
def test_a_model_that_is_not_here(name: str) -> None:
    assert encoder_size(name) is None


def test_weights_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"half")
    assert encoder_size(str(tmp_path)) is None
