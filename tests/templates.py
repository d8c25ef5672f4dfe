"""Small notebooks that stand in for run.ipynb where a test is about how runs are carried out, not about training."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from xtc_study.recipe import Recipe

A_SECOND = """
import time
from pathlib import Path
import pandas as pd
from xtc_study.recipe import Recipe
from xtc_study.runs.notebook_run import NotebookRun
run = NotebookRun(Path(results_dir), Recipe.from_names(globals()), claim)
time.sleep(1)
metrics = {"rows": [], "size_bytes": 1, "size_bytes_paper": 1, "teacher_size_bytes": 1}
run.record(metrics, pd.DataFrame({"idx": [0]}), [], "cpu", "fp32")
"""
"""A cell of a run that takes a second and records its end."""


def write_template(path: Path, *cells: str) -> Path:
    """A notebook with run.ipynb's parameters, then these code cells."""
    fields = "\n".join(f"{field} = None" for field in Recipe.model_fields)
    parameters = new_code_cell(f"{fields}\nresults_dir = ''\nclaim = ''", metadata={"tags": ["parameters"]})
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(new_notebook(cells=[parameters, *map(new_code_cell, cells)], metadata=kernel), path)
    return path


def claimers(folder: Path) -> list[int]:
    """The processes that claim a run in the folder's results."""
    found = []
    for path in (folder / "results").glob("runs/*/claim.json"):
        try:
            found.append(json.loads(path.read_text())["pid"])
        except (OSError, ValueError):
            continue
    return found
