from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from xtc_study.compress.method_version import METHOD_VERSION
from xtc_study.runs.environment import MADE_BY, PACKAGE, code_commit, environment, oldest_method


def test_the_environment() -> None:
    found = environment("cpu", "fp32")
    assert (found["device"], found["precision"]) == ("cpu", "fp32")
    assert found["python"] == sys.version.split()[0]
    assert {"torch", "transformers", "numpy"} <= set(found["packages"])
    json.dumps(found, allow_nan=False)


def test_what_makes_a_run_is_there() -> None:
    assert all((PACKAGE / part).exists() for part in MADE_BY)


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", "-C", str(folder), *who, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A project with one commit."""
    folder = tmp_path / "project" / "xtc_study"
    for part in MADE_BY:
        file = folder / part if part.endswith(".py") else folder / part / "code.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("old")
    git(folder.parent, "init", "-q")
    git(folder.parent, "add", ".")
    git(folder.parent, "commit", "-q", "-m", "first")
    return folder


def test_a_commit_of_other_files_is_the_same_code(package: Path) -> None:
    first = git(package, "rev-parse", "HEAD")[:10]
    assert code_commit(package) == first
    (package / "report.py").write_text("new")
    assert code_commit(package) == first
    git(package, "add", ".")
    git(package, "commit", "-q", "-m", "a report")
    assert code_commit(package) == first


def test_changed_code_is_marked_and_is_another_once_committed(package: Path) -> None:
    first = code_commit(package)
    (package / "training" / "code.py").write_text("new")
    assert code_commit(package) == f"{first}+"
    git(package, "commit", "-q", "-a", "-m", "training")
    assert code_commit(package) == git(package, "rev-parse", "HEAD")[:10] != first


def test_outside_a_project_there_is_none(package: Path, tmp_path: Path) -> None:
    assert code_commit(tmp_path) is None
    installed = package.parent / "venv" / "xtc_study"  # in somebody's project, which does not hold the code
    installed.mkdir(parents=True)
    assert code_commit(installed) is None


def test_without_git_there_is_none(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert code_commit(package) is None


def test_the_method_s_version_is_the_oldest_of_the_steps_and_the_code(tmp_path: Path) -> None:
    assert environment("cpu", "fp32")["method"] == METHOD_VERSION
    assert environment("cpu", "fp32", 7)["method"] == 7
    for address, text in (("old", "{}"), ("zero", '{"method": 0}'), ("now", f'{{"method": {METHOD_VERSION}}}')):
        (tmp_path / address).mkdir()
        (tmp_path / address / "step.json").write_text(text)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "step.json").write_text("[")
    assert oldest_method(tmp_path, []) == oldest_method(tmp_path, ["now", "gone", "broken"]) == METHOD_VERSION
    assert oldest_method(tmp_path, ["old", "now"]) == 1
    assert oldest_method(tmp_path, ["now", "zero"]) == 0
