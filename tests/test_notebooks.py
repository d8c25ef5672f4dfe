"""The notebooks run from top to bottom under nbval: run.ipynb as it is, each ablation with one task and two seeds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import papermill
import pytest

from xtc_study.studies import load_study, study_names

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by all notebooks, so that they share their teachers too."""
    return tmp_path_factory.mktemp("results") / "smoke"


def nbval(path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, str(path)], cwd=NOTEBOOKS, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout[-6000:]


def test_run_notebook(results: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.ipynb"
    papermill.execute_notebook(
        str(NOTEBOOKS / "run.ipynb"), str(path), {"results_dir": str(results)}, prepare_only=True, progress_bar=False
    )
    nbval(path)
    (run,) = (results / "runs").iterdir()
    written = {file.name for file in run.iterdir()}
    assert written >= {"params.json", "metrics.json", "predictions.parquet", "curve.csv", "status.json"}


@pytest.mark.parametrize("name", study_names())
def test_ablation_notebook(name: str, results: Path, tmp_path: Path) -> None:
    chosen = {"results_dir": str(results), "tasks": ["toy-inference"], "seeds": [0, 1]}
    path = tmp_path / load_study(name).notebook
    papermill.execute_notebook(str(NOTEBOOKS / path.name), str(path), chosen, prepare_only=True, progress_bar=False)
    nbval(path)
