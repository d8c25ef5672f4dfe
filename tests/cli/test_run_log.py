"""What a log without a terminal says while runs are carried out."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from patience import HANG_SECONDS
from rich.console import Console

from xtc_study.cli import run_log
from xtc_study.cli.run_log import RunLog, duration
from xtc_study.cli.terminal import carry_out
from xtc_study.places import Places
from xtc_study.runs.carry_out import RunFilter
from xtc_study.study import Study


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (840, "14 min"), (5399, "90 min"), (11_520, "3.2 hours")],
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_each_outcome_says_how_many_and_how_long(tmp_path: Path) -> None:
    """Runs that somebody else carried out take no time here, so the estimate is by those of this runner alone."""
    times = iter([0.0, 120.0, 120.0, 240.0, 240.0])
    log = RunLog([tmp_path / name for name in "abcd"], clock=lambda: next(times))
    assert log.outcome({"run_id": "a", "state": "elsewhere", "seconds": 0.0}) == "1 of 4 elsewhere: a"
    assert log.outcome({"run_id": "b", "state": "done", "seconds": 62.4}) == "2 of 4 done: b (62 s), about 4 min left"
    error = {"type": "MemoryError", "message": "no room"}
    assert log.outcome({"run_id": "c", "state": "failed", "seconds": 1.0, "error": error}) == (
        "3 of 4 failed: c: MemoryError: no room, about 60 s left"
    )
    assert log.outcome({"run_id": "d", "state": "done", "seconds": 1.0}) == "4 of 4 done: d (1 s)"


def test_what_runs_now(tmp_path: Path) -> None:
    times = iter([0.0, 200.0])
    log = RunLog([tmp_path / f"run{i}" for i in range(7)], clock=lambda: next(times))
    cells = [{"cell_type": "code", "metadata": {"papermill": {"status": state}}} for state in ("completed", "running")]
    for folder in log.folders[:6]:
        folder.mkdir()
        (folder / "claim.json").write_text("{}")
        (folder / "notebook.ipynb").write_text(json.dumps({"cells": cells}))
    first = ", ".join(f"run{i} (1 of 2 cells)" for i in range(4))
    assert log.now() == f"after 3 min: 0 of 7 ended; running: {first} and 2 more"


def test_a_redirected_run_says_what_it_will_do_at_once_and_goes_on_saying(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first line is there before the first run begins, and lines come while a run is going on."""

    class Said(io.StringIO):
        """A file that knows how much of it was flushed, and sets an event at the first line about what runs."""

        flushed = ""
        spoke = Event()

        def flush(self) -> None:
            self.flushed = self.getvalue()
            if "\nafter " in self.flushed:
                self.spoke.set()

    file = Said()
    study = Study("12_bits", seeds=[0], axes={"weights": ["1-bit"], "activations": ["A8"]}, places=Places(tmp_path))
    (planned,) = {run.run_id for run in study.planned if run.recipe.task == study.profile.tasks[0]}

    def outcomes_of(*words: object, **options: object) -> Iterator[dict[str, Any]]:
        assert file.flushed.startswith("12_bits: 1 run to do; 2 steps instead of 2, 2 to train")
        assert file.spoke.wait(HANG_SECONDS), "a line while the run is going on"
        yield {"run_id": planned, "state": "done", "seconds": 61.7, "error": None}

    monkeypatch.setattr("xtc_study.suite.outcomes_of", outcomes_of)
    monkeypatch.setattr(run_log, "SAY_SECONDS", 0.01)
    out = Console(file=file, soft_wrap=True)
    assert carry_out([study], out, None, None, None, True, RunFilter()) == 0
    lines = file.getvalue().splitlines()
    assert "━" not in file.getvalue(), "no bar"
    assert lines[1] == "after 0 s: 0 of 1 ended" and f"1 of 1 done: {planned} (62 s)" in lines
    assert file.flushed == file.getvalue()
