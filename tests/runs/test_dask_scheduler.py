"""Runs carried out by the workers of a Dask scheduler."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from patience import wait_for
from templates import A_SECOND, claimers, write_template

from xtc_study.recipe import Recipe
from xtc_study.runs.dask_scheduler import dask_executor
from xtc_study.runs.executors import run_recipes
from xtc_study.runs.store import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_template(tmp_path / "template.ipynb", A_SECOND)
    return tmp_path


def _dask(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "distributed.cli." + words[0], *words[1:]]
    log = (folder / f"{words[0]}.log").open("wb")
    return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)


def test_dask_workers_carry_out_every_run_though_one_is_killed(folder: Path) -> None:
    """A scheduler and two workers, each a process of its own."""
    address = folder / "scheduler.json"
    port = ["--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0"]
    processes = [_dask(folder, "dask_scheduler", *port, "--scheduler-file", str(address))]
    try:
        wait_for(address.exists)
        name = wait_for(lambda: _json(address).get("address"))
        options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0"]
        processes += [_dask(folder, "dask_worker", name, *options) for _ in range(2)]
        recipes = [Recipe.of(task="cola", seed=seed) for seed in range(4)]
        with dask_executor(name) as executor:
            outcomes = run_recipes(recipes, folder / "results", folder / "template.ipynb", {}, executor=executor)
            said = [next(outcomes)["state"]]
            busy = wait_for(lambda: next(iter(claimers(folder)), None))
            os.kill(busy, signal.SIGKILL)
            said += [outcome["state"] for outcome in outcomes]
        # An outcome may be lost with the worker that held it; the run is then found done, not carried out again.
        assert len(said) == 4 and set(said) <= {"done", "elsewhere"}
        assert all(RunFolder(folder / "results" / "runs", recipe).is_done() for recipe in recipes)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import distributed

    asked = []

    def unreachable(address: str, **options: object) -> None:
        asked.append(address)
        raise OSError("timed out")

    monkeypatch.setattr(distributed, "Client", unreachable)
    with (
        pytest.raises(ValueError, match=r"--scheduler tcp://127\.0\.0\.1:1: no Dask scheduler answers"),
        dask_executor("tcp://127.0.0.1:1"),
    ):
        pass
    assert asked == [], "no process listens there, so no client waits for an answer"


def _json(path: Path) -> dict:
    try:
        return json.loads(path.read_text())
    except ValueError:
        return {}
