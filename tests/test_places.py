from __future__ import annotations

from pathlib import Path

import pytest

from xtc_study import places
from xtc_study.places import (
    Compute,
    Places,
    check_writable,
    optional_folder,
    project_folder,
    results_folder,
    work_folder,
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder, with nothing set and the current folder elsewhere."""
    monkeypatch.delenv("XTC_RESULTS", raising=False)
    root = tmp_path.resolve() / "project"
    (root / "notebooks" / "deep").mkdir(parents=True)
    (root / "notebooks" / "run.ipynb").touch()
    (root / "pyproject.toml").touch()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return root


@pytest.mark.parametrize("below", [".", "notebooks", "notebooks/deep"])
def test_the_project_is_found_upwards(project: Path, monkeypatch: pytest.MonkeyPatch, below: str) -> None:
    monkeypatch.chdir(project / below)
    assert project_folder() == project
    assert results_folder("smoke") == project / "results" / "smoke"


def test_elsewhere_notebooks_are_the_checkout_s_and_results_lie_beside_the_caller(project: Path) -> None:
    assert project_folder() == Path(places.__file__).parents[1]
    assert work_folder() == Path.cwd() == project.parent / "elsewhere"
    assert results_folder("smoke") == project.parent / "elsewhere" / "results" / "smoke"


def test_without_a_checkout_it_is_the_current_folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "__file__", str(project.parent / "site-packages" / "xtc_study" / "places.py"))
    assert project_folder() == Path.cwd() == project.parent / "elsewhere"


@pytest.mark.parametrize("gone", ["pyproject.toml", "notebooks/run.ipynb"])
def test_another_project_with_notebooks_is_no_checkout(
    project: Path, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    """Somebody's own project may well have pyproject.toml and notebooks/."""
    monkeypatch.setattr(places, "__file__", str(project.parent / "site-packages" / "xtc_study" / "places.py"))
    (project / gone).unlink()
    monkeypatch.chdir(project / "notebooks")
    assert project_folder() == work_folder() == project / "notebooks"


@pytest.mark.parametrize("folder", ["/proc/xx", "/proc/xx/deep", "file", "file/below"])
def test_a_folder_that_cannot_be_written_is_named(project: Path, folder: str) -> None:
    Path("file").touch()
    with pytest.raises(ValueError, match=rf"results .*{folder}: .*; choose a folder with --results or XTC_RESULTS"):
        check_writable(Path(folder).absolute())


def test_trying_whether_it_can_be_written_leaves_nothing(project: Path) -> None:
    check_writable(Path("deep/results").absolute())
    check_writable(Path.cwd())
    assert list(Path.cwd().iterdir()) == []


def test_the_variable_replaces_the_projects_results(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    monkeypatch.setenv("XTC_RESULTS", "else/where")
    assert results_folder("mini") == project / "else" / "where" / "mini"


def test_a_chosen_folder_wins_and_is_the_profiles_own(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XTC_RESULTS", "else/where")
    monkeypatch.setenv("HOME", str(project))
    assert results_folder("mini", "mine") == Path.cwd() / "mine"
    assert results_folder("mini", "~/mine") == project / "mine"
    assert results_folder("mini", "") == Path.cwd() / "else/where/mini"


def test_optional_folder(project: Path) -> None:
    assert optional_folder("", "data_dir") is None
    assert optional_folder(None, "data_dir") is None
    assert optional_folder("../project", "data_dir") == Path.cwd() / "../project"
    with pytest.raises(ValueError, match="data_dir='none': no such folder"):
        optional_folder("none", "data_dir")
    (project / "file").touch()
    with pytest.raises(ValueError, match="no such folder"):
        optional_folder(project / "file", "models_dir")


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"data_dir": "nowhere"}, "data_dir='nowhere': no such folder"),
        ({"models_dir": "nowhere"}, "models_dir='nowhere': no such folder"),
        ({"synonyms": "nowhere.tsv"}, "synonyms='nowhere.tsv': no such file"),
    ],
)
def test_a_place_that_is_not_there_is_named(chosen: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Places.of(**chosen)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"device": "gpu"}, "device='gpu': expected one of auto, cpu, cuda, mps"),
        ({"precision": "fp16"}, "precision='fp16': expected one of auto, fp32, bf16"),
    ],
)
def test_an_unknown_device_or_precision_is_named(chosen: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Compute(**chosen)


def test_places_and_compute_come_back_from_the_parameters_they_give(tmp_path: Path) -> None:
    table = tmp_path / "table.tsv"
    table.write_text("a\tb\n")
    places = Places(tmp_path / "results", tmp_path, tmp_path, table, (tmp_path / "own.yml",))
    names = {**places.parameters(), **Compute("cpu", "bf16").parameters(), "results_dir": str(tmp_path / "results")}
    assert Places.from_names(names) == places and Compute.from_names(names) == Compute("cpu", "bf16")
    empty = Places(tmp_path / "results")
    assert Places.from_names({**empty.parameters(), "results_dir": str(empty.results)}) == empty
    assert (empty.runs, empty.steps) == (tmp_path / "results" / "runs", tmp_path / "results" / "steps")
