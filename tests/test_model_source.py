from __future__ import annotations

import json
from pathlib import Path

import pytest

from xtc_study.model_folder import CONFIG, METHOD, WEIGHTS
from xtc_study.model_source import BUILTIN, ModelError, resolve_model


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder that holds one model, ``org/small``."""
    folder = tmp_path / "models" / "org" / "small"
    folder.mkdir(parents=True)
    (folder / CONFIG).write_text("{}")
    (folder / WEIGHTS).touch()
    return tmp_path / "models"


def test_a_linked_model_below_the_models_folder(models: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (models / "org" / "small").rename(elsewhere)
    (models / "org" / "small").symlink_to(elsewhere)
    assert Path(resolve_model("org/small", models)).resolve() == elsewhere.resolve()


def test_a_name_that_is_no_folder_is_left_to_the_hub(models: Path) -> None:
    assert resolve_model("org/other", models) == "org/other"
    assert resolve_model(BUILTIN, models) == BUILTIN


def test_a_name_cannot_lead_out_of_the_models_folder(models: Path) -> None:
    (models / "inner").mkdir()
    assert resolve_model("x/../../org/small", models / "inner") == "x/../../org/small"


@pytest.mark.parametrize("name", ["/no/such/folder", "./none", "../none"])
def test_a_path_that_is_not_there(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="no such folder"):
        resolve_model(name)


def test_folders_that_hold_no_model(models: Path) -> None:
    folder = models / "org" / "small"
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"model='org/small': .* no weights .*pickled weights .*never read"):
        resolve_model("org/small", models)
    (folder / CONFIG).unlink()
    with pytest.raises(ModelError, match=r"no config\.json"):
        resolve_model("org/small", models)


def test_another_builtin() -> None:
    with pytest.raises(ModelError, match="the only built-in encoder is 'builtin:tiny'"):
        resolve_model("builtin:huge")


def test_a_packed_folder_is_no_encoder(models: Path) -> None:
    """It is finished; ``tests/training/test_pretrained.py`` asks the same of one that was really written."""
    (models / "org" / "small" / CONFIG).write_text(json.dumps({"quantization_config": {"quant_method": METHOD}}))
    with pytest.raises(ModelError, match="a packed folder, a finished student"):
        resolve_model("org/small", models)


@pytest.mark.parametrize("content", ["{", "[]", "null", '{"quantization_config": 3}', "[" * 100_000])
def test_a_configuration_that_says_nothing_is_left_to_transformers(models: Path, content: str) -> None:
    (models / "org" / "small" / CONFIG).write_text(content)
    assert resolve_model("org/small", models) == str(models / "org" / "small")
