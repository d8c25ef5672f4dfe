from __future__ import annotations

from pathlib import Path

import pytest

from xtc_study import places
from xtc_study.places import check_writable, optional_folder, project_folder, results_folder, work_folder


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
