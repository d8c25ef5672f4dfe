"""Which models are refused before anything is planned, and which are doubted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import RepositoryNotFoundError

from xtc_study import model_check
from xtc_study.model_check import check_models
from xtc_study.model_source import ModelError
from xtc_study.recipe import Recipe


def check(model: str = "builtin:tiny", start: str = "teacher", models_dir: Path | None = None) -> list[str]:
    return check_models([Recipe.of(task="cola", model=model, start=start)], models_dir)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with one folder that holds a model as far as its names go."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "models" / "mine"
    folder.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (folder / name).touch()
    return tmp_path


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A hub that says what the test puts here: an exception, or that the model is there."""
    says: dict[str, Any] = {"asked": []}

    def model_info(self: Any, name: str, timeout: float) -> object:
        says["asked"].append(name)
        if "error" in says:
            raise says["error"]
        return object()

    model_check._look_up.cache_clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    return says


class _NotThere(RepositoryNotFoundError):
    def __init__(self) -> None:
        Exception.__init__(self, "404")


def test_what_is_there_passes_and_the_hub_is_not_asked(here: Path, hub: dict[str, Any]) -> None:
    assert check() == check(start="pretrained") == check("models/mine") == check(str(here / "models" / "mine")) == []
    assert check("mine", models_dir=here / "models") == []
    assert hub["asked"] == []


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"model": "./none"}, "model='./none': no such folder; give an existing folder or a hub name"),
        ({"start": "/no/where"}, "start='/no/where': no such folder; give an existing folder or a hub name"),
        ({"model": "no/such/folder"}, "model='no/such/folder': no such folder, and the hub's names are OWNER/NAME"),
        ({"model": "minilm"}, "model='minilm': no such folder, and the hub's names are OWNER/NAME"),
        ({"start": "techer"}, "start='techer': no such folder, .* OWNER/NAME; did you mean 'teacher'?"),
        ({"model": "builtin:tny"}, "model='builtin:tny': the only built-in encoder is 'builtin:tiny'"),
        ({"model": "models"}, "model='models': models has no config.json"),
    ],
    ids=str,
)
def test_what_cannot_be_there_is_refused(chosen: dict[str, str], message: str, here: Path) -> None:
    with pytest.raises(ModelError, match=message.replace("?", r"\?$").replace("config.json", r"config\.json")):
        check(**chosen)


def test_a_folder_of_models_is_named_too(here: Path) -> None:
    with pytest.raises(ModelError, match=f"model='other': no such folder here or in {here / 'models'}"):
        check("other", models_dir=here / "models")


@pytest.mark.parametrize("name", ["no/such", "nosuch"])
def test_what_the_hub_does_not_have_is_refused(name: str, here: Path, hub: dict[str, Any]) -> None:
    hub["error"] = _NotThere()
    with pytest.raises(ModelError, match=f"model='{name}': no such folder, and the hub has no such model"):
        check(name)
    assert hub["asked"] == [name]


def test_what_the_hub_has_passes_with_and_without_an_owner(here: Path, hub: dict[str, Any]) -> None:
    assert check("owner/name") == check("bert-base-uncased") == []
    assert hub["asked"] == ["owner/name", "bert-base-uncased"]


def test_a_hub_that_cannot_be_asked_is_a_doubt(here: Path, hub: dict[str, Any]) -> None:
    hub["error"] = TimeoutError("no answer")
    assert check("owner/name") == [
        "model='owner/name': no such folder, not in the hub's cache, and the hub cannot be reached (TimeoutError): "
        "give a folder with --model or --models-dir"
    ]


@pytest.mark.parametrize("error", [None, TimeoutError("no answer")], ids=["it answers", "it cannot be reached"])
def test_the_hub_is_asked_once_about_each_name(error: Exception | None, here: Path, hub: dict[str, Any]) -> None:
    """Each study of ``plan all`` asks about the same models, and a hub that is down takes five seconds to say so."""
    if error is not None:
        hub["error"] = error
    said = [check("owner/name"), check("owner/name"), check("owner/other"), check(start="owner/name")]
    assert hub["asked"] == ["owner/name", "owner/other"]
    assert [bool(doubts) for doubts in said] == [error is not None] * 4
    assert error is None or said[3][0].startswith("start='owner/name'")


def test_a_hub_that_is_switched_off_is_not_asked(
    here: Path, hub: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    (doubt,) = check("owner/name")
    assert "not in the hub's cache, and the hub is switched off (HF_HUB_OFFLINE)" in doubt and hub["asked"] == []


def test_what_the_cache_holds_passes(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda name, file: f"/cache/{name}/{file}")
    assert check("owner/name") == check("bert-base-uncased") == []
