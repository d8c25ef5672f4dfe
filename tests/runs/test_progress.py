"""Progress from live notebooks."""

from __future__ import annotations

import json
from pathlib import Path

from xtc_study.runs.progress import RunProgress, in_progress, running_text


def test_claimed_runs_with_a_readable_notebook(tmp_path: Path) -> None:
    def cell(kind: str, status: str) -> dict:
        return {"cell_type": kind, "metadata": {"papermill": {"status": status}}}

    cells = [cell("markdown", "completed"), *(cell("code", status) for status in ("completed", "running", "pending"))]
    texts = {
        "live": json.dumps({"cells": cells}),
        "half": '{"cells": [',
        "other": "[]",
        "idle": json.dumps({"cells": cells}),
    }
    for name, text in texts.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "notebook.ipynb").write_text(text)
        if name != "idle":
            (tmp_path / name / "claim.json").write_text("{}")
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "claim.json").write_text("{}")
    folders = [tmp_path / name for name in (*texts, "begun", "gone")]
    assert in_progress(folders) == [RunProgress("live", 1, 3)]


def test_a_run_in_a_line(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "claim.json").write_text('{"token": "t", "host": "a-machine", "pid": 7}')
    assert running_text(folder) == "run: no cell has ended, or it was started by hand, on a-machine, process 7"
    cells = [{"cell_type": "code", "metadata": {"papermill": {"status": "completed"}}}] * 3
    (folder / "notebook.ipynb").write_text(json.dumps({"cells": cells}))
    assert running_text(folder) == "run: 3 of 3 cells, on a-machine, process 7"
