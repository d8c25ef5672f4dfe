from __future__ import annotations

from pathlib import Path

import pytest

from xtc_study import folders
from xtc_study.folders import optional_folder, project_folder, results_folder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder, with nothing set and the current folder elsewhere."""
    monkeypatch.delenv("XTC_RESULTS", raising=False)
    root = tmp_path.resolve() / "project"
    (root / "notebooks" / "deep").mkdir(parents=True)
    (root / "pyproject.toml").touch()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return root


@pytest.mark.parametrize("below", [".", "notebooks", "notebooks/deep"])
def test_the_project_is_found_upwards(project: Path, monkeypatch: pytest.MonkeyPatch, below: str) -> None:
    monkeypatch.chdir(project / below)
    assert project_folder() == project
    assert results_folder("smoke") == project / "results" / "smoke"


def test_elsewhere_it_is_the_checkout_the_package_runs_from(project: Path) -> None:
    assert project_folder() == Path(folders.__file__).parents[1]


def test_without_a_checkout_it_is_the_current_folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "__file__", str(project.parent / "site-packages" / "xtc_study" / "folders.py"))
    assert project_folder() == Path.cwd() == project.parent / "elsewhere"


def test_a_folder_of_notebooks_alone_is_no_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "__file__", str(project.parent / "site-packages" / "xtc_study" / "folders.py"))
    (project / "pyproject.toml").unlink()
    monkeypatch.chdir(project / "notebooks")
    assert project_folder() == project / "notebooks"


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
