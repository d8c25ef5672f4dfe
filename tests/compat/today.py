"""The only imports of the package in this folder; the tests reach everything else through commands and files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from xtc_study import load
from xtc_study.chain import chain
from xtc_study.cli import app
from xtc_study.profiles import Profile
from xtc_study.recipe import Recipe
from xtc_study.studies import CHANGEABLE, ClaimSpec, StudySpec, plan
from xtc_study.tasks.user.description import Description

__all__ = ["CHANGEABLE", "ClaimSpec", "Description", "Profile", "Recipe", "StudySpec", "app", "chain", "load", "plan"]

FIXTURES = Path(__file__).parent / "fixtures"
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def fixture(name: str) -> Any:
    """Return the content of a JSON file in ``fixtures``."""
    return json.loads((FIXTURES / name).read_text("utf-8"))


def specs(kind: str) -> dict[str, dict[str, Any]]:
    """Return the YAML files of ``studies`` or ``profiles`` at commit 0e5d90d, by name."""
    files = sorted((FIXTURES / "specs" / kind).glob("*.yml"))
    return {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in files}


def command(*words: str | Path) -> str:
    """Run ``xtc-study`` in a separate process and return what it prints; fail if it fails."""
    start = [sys.executable, "-c", "from xtc_study.cli import main; main()"]
    done = subprocess.run([*start, *map(str, words)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout
