"""A notebook's cells carried out in this process, over results that are not whole: no kernel, no training."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fabricate import make_done_run, write_json

from xtc_study.places import Places
from xtc_study.study import Study

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def nothing(runs: Path, study: Study) -> None:
    """No run at all."""


def one_run(runs: Path, study: Study) -> None:
    """The first planned run alone: one seed of one arm, so one level of each axis."""
    make_done_run(runs, study.planned[0])


def one_arm(runs: Path, study: Study) -> None:
    """Every seed of the reference, and no other arm."""
    for run in study.planned:
        if run.arm == study.spec.reference:
            make_done_run(runs, run)


def failed(runs: Path, study: Study) -> None:
    """One run is done, all others failed."""
    make_done_run(runs, study.planned[0])
    for run in study.planned[1:]:
        if not (runs / run.run_id).exists():
            write_json(runs / run.run_id / "error.json", {"type": "ValueError", "message": "no memory", "cell": 3})


def damaged(runs: Path, study: Study) -> None:
    """All are done, but one has no readable status, one no readable predictions, and one has lost its curve."""
    for run in study.planned:
        if not (runs / run.run_id).exists():
            make_done_run(runs, run)
    ids = list(dict.fromkeys(run.run_id for run in study.planned))
    (runs / ids[0] / "predictions.parquet").write_bytes(b"no parquet")
    (runs / ids[1] / "status.json").write_text("{")
    (runs / ids[2] / "curve.csv").unlink()


STATES: tuple[Callable[[Path, Study], None], ...] = (nothing, one_run, one_arm, failed, damaged)


def carried_out(name: str, results: Path, **parameters: Any) -> str:
    """What the notebook prints and shows, as text; its runs are not carried out. An error in a cell is raised."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    shell = InteractiveShell.instance()
    said = []
    try:
        for cell in json.loads((NOTEBOOKS / name).read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] != "code":
                continue
            source = "".join(cell["source"])
            if "parameters" in cell["metadata"].get("tags", []):
                given = {"results_dir": str(results), **parameters}
                source += "".join(f"\n{key} = {value!r}" for key, value in given.items())
            with capture_output() as captured:
                outcome = shell.run_cell(source.replace("study.run(workers)", "study.runs_by_state()"))
            outcome.raise_error()
            said.append(captured.stdout + captured.stderr + "".join(str(output.data) for output in captured.outputs))
            if outcome.result is not None:  # as the notebook would show the cell's last value
                said += map(str, shell.display_formatter.format(outcome.result)[0].values())
    finally:
        InteractiveShell.clear_instance()
    return "\n".join(said)


def prepared(
    folder: Path, state: Callable[[Path, Study], None], study: str, seeds: Sequence[int] | None = None
) -> Path:
    """A results folder with the study in that state, and nothing else."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "runs").mkdir(parents=True)
    state(folder / "runs", Study(study, places=Places(folder), seeds=seeds))
    return folder
