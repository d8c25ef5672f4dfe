"""Checksums cover the tokenizer too; test_loading.py and test_fuzz.py damage weights and configuration."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForSequenceClassification

from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.deploy.predict import predict_texts
from xtc_study.packed.checkpoint import repack, save_packed
from xtc_study.packed.checksums import TOKENIZER, CheckpointError, tokenizer_files, write_config
from xtc_study.packed.loading import load
from xtc_study.recipe import Recipe
from xtc_study.training.pretrained import load_tokenizer


@pytest.fixture
def folder(tiny: Callable[..., Any], tmp_path: Path) -> Path:
    model = tiny("bert", layers=1)
    make_low_bit(model, Recipe.of(task="toy-sentiment", weight_bits=1))
    save_packed(model, tmp_path / "model", load_tokenizer("builtin:tiny"))
    return tmp_path / "model"


def test_checksums_cover_the_tokenizer(folder: Path, tmp_path: Path) -> None:
    listed = set(json.loads((folder / "config.json").read_text())["xtc_checksums"])
    assert listed == {"config.json", "model.safetensors", *tokenizer_files(folder)}
    assert {"tokenizer.json", "tokenizer_config.json"} <= listed
    shutil.copytree(folder, tmp_path / "other")
    repack(folder, tmp_path / "other", "fp16")
    assert set(json.loads((tmp_path / "other" / "config.json").read_text())["xtc_checksums"]) == listed


def test_format_page_names_the_tokenizer_files() -> None:
    page = (Path(__file__).parents[2] / "docs" / "format.md").read_text(encoding="utf-8")
    assert all(f"`{pattern}`" in page for pattern in TOKENIZER)


def deleted(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def swapped(folder: Path) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    words = content["model"]["vocab"]
    first, second, *_ = sorted(words)
    words[first], words[second] = words[second], words[first]
    (folder / "tokenizer.json").write_text(json.dumps(content))


def added(folder: Path) -> None:
    (folder / "added_tokens.json").write_text('{"good": 5}')


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (deleted, "tokenizer.json: not found"),
        (swapped, "tokenizer.json: damaged"),
        (added, "added_tokens.json: was not there"),
    ],
)
def test_changed_tokenizer_is_refused_by_every_reader(
    folder: Path, damage: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    damage(folder)
    with pytest.raises(CheckpointError, match=message):
        load(folder)
    with pytest.raises(CheckpointError, match=message):
        list(predict_texts(folder, ["good"]))
    with pytest.raises(CheckpointError, match=message):
        AutoModelForSequenceClassification.from_pretrained(folder)
    with pytest.raises(CheckpointError, match=message):
        repack(folder, tmp_path / "other", "fp16")


def test_older_folders_without_tokenizer_checksums_load(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    for name in tokenizer_files(folder):
        del config["xtc_checksums"][name]
    (folder / "config.json").write_text(json.dumps(config))
    deleted(folder)
    load(folder)


def test_intended_tokenizer_change_can_be_confirmed(folder: Path) -> None:
    swapped(folder)
    write_config(folder, json.loads((folder / "config.json").read_text()))
    load(folder)


def test_unrelated_files_in_the_folder_are_allowed(folder: Path) -> None:
    (folder / "LICENSE.txt").write_text("Apache-2.0")
    (folder / ".gitattributes").write_text("")
    load(folder)


def test_checksum_of_a_file_outside_the_folder_is_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["xtc_checksums"]["../secret"] = "0"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="secret: not found"):
        load(folder)
