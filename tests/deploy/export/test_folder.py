"""A failed export leaves no files; tests/cli/test_files.py tests exports that succeed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from datasets import Dataset

from xtc_study.deploy.export import folder
from xtc_study.deploy.export.parity import Agreement, ExportError
from xtc_study.packed.checkpoint import save_packed
from xtc_study.recipe import Recipe
from xtc_study.training.pretrained import load_tokenizer


@pytest.fixture
def run(student: Callable[..., Any], tmp_path: Path) -> Any:
    save_packed(student(), tmp_path / "model")
    return SimpleNamespace(model=tmp_path / "model", metrics={}, recipe=SimpleNamespace(rest="fp32"))


@pytest.mark.parametrize(
    ("kind", "name"), [("onnx", "export.onnx.to_onnx"), ("openvino", "export.openvino.to_openvino")]
)
def test_a_failed_conversion_can_be_retried(
    run: Any, kind: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(folder: Path, path: Path, **inputs: Any) -> Any:
        path.parent.mkdir()
        path.write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(f"xtc_study.deploy.{name}", half)
    with pytest.raises(KeyboardInterrupt):
        folder.export_runtime(run, tmp_path / "out", kind)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("kind", "name"), [("onnx", "export.onnx.to_onnx"), ("openvino", "export.openvino.to_openvino")]
)
def test_an_export_with_other_predictions_is_an_error_and_is_removed(
    run: Any, kind: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(folder: Path, path: Path, **inputs: Any) -> Agreement:
        path.parent.mkdir()
        path.write_text("whole")
        return Agreement(512, 6.7, 0.9, 0.74)

    monkeypatch.setattr(f"xtc_study.deploy.{name}", other)
    with pytest.raises(ExportError, match=r"class in 74.0% of 512 dev rows; .* expected at least 95%"):
        folder.export_runtime(run, tmp_path / "out", kind)
    assert not (tmp_path / "out").exists()


def test_a_failed_copy_can_be_retried(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(source: Path, folder: Path) -> None:
        folder.mkdir()
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(folder.shutil, "copytree", half)
        with pytest.raises(OSError, match="no space left"):
            folder.export_packed(run, tmp_path / "out")
    folder.export_packed(run, tmp_path / "out")
    with pytest.raises(ValueError, match="already exists"):
        folder.export_packed(run, tmp_path / "out")
    assert (tmp_path / "out" / "model.safetensors").is_file(), "the earlier export is left alone"


def test_texts_are_cut_to_the_positions_of_the_model(
    tiny: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts of 100 words are cut to 40 tokens: the recipe allows 64, the model has 40 positions."""
    model, tokenizer = tiny("bert", layers=1, labels=2), load_tokenizer("builtin:tiny")
    model.resize_token_embeddings(len(tokenizer))
    save_packed(model, tmp_path / "model", tokenizer, max_length=64)
    lengths: list[int] = []
    whole = folder.tokenize

    def counted(*given: Any) -> Any:
        found = whole(*given)
        lengths.append(max(len(row["input_ids"]) for row in found))
        return found

    monkeypatch.setattr(folder, "tokenize", counted)
    monkeypatch.setattr(
        folder,
        "load_task",
        lambda *given: {"dev": Dataset.from_dict({"sentence": ["good " * 100] * 3, "label": [0, 1, 1]})},
    )
    rows = [{"split": "dev", "metric": "accuracy", "value": 0.0}]
    (row,) = folder.rescored(tmp_path / "model", Recipe.of(task="toy-sentiment", max_length=64), rows, None)
    assert lengths == [40] and row["value"] in (pytest.approx(1 / 3), pytest.approx(2 / 3))
    folder.rescored(tmp_path / "model", Recipe.of(task="toy-sentiment", max_length=16), rows, None)
    assert lengths == [40, 16]
