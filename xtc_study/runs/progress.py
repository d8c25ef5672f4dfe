"""How far the runs in progress are, read from their live notebooks: papermill saves one after each cell."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from xtc_study.runs.lease import holder


class RunProgress(NamedTuple):
    run_id: str
    done: int
    """Code cells that have ended."""
    cells: int


def in_progress(folders: Iterable[Path]) -> list[RunProgress]:
    """The runs among these folders that are in progress and whose notebook can be read now."""
    running = []
    for folder in folders:
        if not (folder / "claim.json").is_file():
            continue
        try:
            cells = json.loads((folder / "notebook.ipynb").read_text(encoding="utf-8"))["cells"]
            states = [cell["metadata"]["papermill"]["status"] for cell in cells if cell["cell_type"] == "code"]
        except (OSError, ValueError, KeyError, TypeError):
            continue  # not begun, or half written at this moment
        running.append(RunProgress(folder.name, states.count("completed"), len(states)))
    return running


def running_text(folder: Path) -> str:
    """A run in progress in one line: its id, how far its notebook is, and where it is carried out."""
    who = holder(folder)
    where = f", on {who['host']}, process {who['pid']}" if {"host", "pid"} <= set(who) else ""
    for run in in_progress([folder]):
        return f"{run.run_id}: {run.done} of {run.cells} cells{where}"
    return f"{folder.name}: no cell has ended, or it is run by hand{where}"
