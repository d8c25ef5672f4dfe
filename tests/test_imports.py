"""Planning, status and reports start in a second: they import neither torch nor transformers."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import pytest

import xtc_study.analysis
import xtc_study.cli
import xtc_study.report
import xtc_study.runs

LIGHT = [
    "xtc_study",
    "xtc_study.recipe",
    "xtc_study.study",
    "xtc_study.suite",
    "xtc_study.cli",
    "xtc_study.profiles",
    "xtc_study.studies",
    "xtc_study.places",
    "xtc_study.tasks.task",
    "xtc_study.tasks.catalogue",
    "xtc_study.chain",
    "xtc_study.model_source",
    "xtc_study.model_check",
    "xtc_study.tasks.metrics",
    "xtc_study.training.text_check",
    "xtc_study.cli.plan_data",
    *(
        module.name
        for room in (xtc_study.runs, xtc_study.analysis, xtc_study.report, xtc_study.cli)
        for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}.")
        if not module.name.endswith("__main__")
    ),
]
PROGRAM = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    heavy = [module for module in ("torch", "transformers", "datasets") if module in sys.modules]
    if heavy:
        sys.exit(f"{name} imports {', '.join(heavy)}")
"""


def test_light_modules_import_no_torch() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, *LIGHT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_module_that_imports_torch_would_be_found() -> None:
    command = [sys.executable, "-c", PROGRAM.replace("torch", "fractions"), "fractions"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "fractions imports fractions" in done.stderr


@pytest.mark.parametrize("name", ["store", "step_store", "parameters", "notebook_run", "execute", "executors"])
def test_every_file_of_these_rooms_is_checked(name: str) -> None:
    assert f"xtc_study.runs.{name}" in LIGHT
