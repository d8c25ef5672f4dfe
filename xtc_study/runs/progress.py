"""The progress of running runs, read from their notebooks, which papermill saves after each cell."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from xtc_study.runs.lease import holder


class RunProgress(NamedTuple):
    """How many code cells of a run's notebook have ended."""

    run_id: str
    done: int
    """Code cells that have ended."""
    cells: int
    """All code cells."""


def in_progress(folders: Iterable[Path]) -> list[RunProgress]:
    """Return the progress of each run among these folders that is in progress and has a readable notebook."""
    running = []
    for folder in folders:
        if not (folder / "claim.json").is_file():
            continue
        try:
            cells = json.loads((folder / "notebook.ipynb").read_text(encoding="utf-8"))["cells"]
            states = [cell["metadata"]["papermill"]["status"] for cell in cells if cell["cell_type"] == "code"]
        except (OSError, ValueError, KeyError, TypeError):
            continue  # not started, or half written at this moment
        running.append(RunProgress(folder.name, states.count("completed"), len(states)))
    return running


def running_text(folder: Path) -> str:
    """Describe a run in progress in one line: its id, how many cells have ended, and where it is carried out."""
    process = holder(folder)
    where = f", on {process['host']}, process {process['pid']}" if {"host", "pid"} <= set(process) else ""
    for run in in_progress([folder]):
        return f"{run.run_id}: {run.done} of {run.cells} cells{where}"
    return f"{folder.name}: no cell has ended, or it was started by hand{where}"
