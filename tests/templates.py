"""Small notebooks that stand in for run.ipynb where a test is about how runs are carried out, not about training."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from xtc_study.recipe import Recipe


def write_template(path: Path, *cells: str) -> Path:
    """A notebook with run.ipynb's parameters, then these code cells."""
    fields = "\n".join(f"{field} = None" for field in Recipe.model_fields)
    parameters = new_code_cell(f"{fields}\nresults_dir = ''\nclaim = ''", metadata={"tags": ["parameters"]})
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(new_notebook(cells=[parameters, *map(new_code_cell, cells)], metadata=kernel), path)
    return path
