"""What the machine may do to a run: each ends as a named failure of that run alone, and running again repairs it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from templates import write_template

from xtc_study.analysis.collect import collect, states
from xtc_study.recipe import Recipe
from xtc_study.runs.execute import execute_run
from xtc_study.runs.executors import run_recipes
from xtc_study.runs.store import RunFolder
from xtc_study.studies import PlannedRun

RECIPES = [Recipe.of(task="cola", seed=seed) for seed in range(3)]

CELL = """
from pathlib import Path
import pandas as pd
from xtc_study.recipe import Recipe
from xtc_study.runs.notebook_run import NotebookRun
run = NotebookRun(Path(results_dir), Recipe.from_names(globals()), claim)
FAULT
metrics = {"rows": [], "size_bytes": 1, "size_bytes_paper": 1, "teacher_size_bytes": 1}
run.record(metrics, pd.DataFrame({"idx": [0]}), [], "cpu", "fp32")
"""


def template(folder: Path, fault: str = "") -> Path:
    """A notebook whose run of seed 1 meets the fault."""
    lines = fault.splitlines() or ["pass"]
    body = CELL.replace("FAULT", "\n".join(["if seed == 1:", *("    " + line for line in lines)]))
    return write_template(folder / "template.ipynb", body)


def carry_out(folder: Path, results: Path, fault: str = "", **options: Any) -> dict[int, dict[str, Any]]:
    by_id = {recipe.run_id: recipe.seed for recipe in RECIPES}
    outcomes = run_recipes(RECIPES, results, template(folder, fault), {}, workers=2, **options)
    return {by_id[outcome["run_id"]]: outcome for outcome in outcomes}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("raise FloatingPointError('the hidden loss is nan at step 7')", "the hidden loss is nan at step 7"),
        ("raise MemoryError('cannot allocate 9 GiB')", "cannot allocate 9 GiB"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "died"),
    ],
    ids=["NaN loss", "out of memory", "killed by the system"],
)
def test_one_run_fails_by_name_and_running_again_repairs_it(fault: str, message: str, tmp_path: Path) -> None:
    """A cell that takes too long is in test_execute.py: a limit that a test waits for is no limit for the others."""
    results = tmp_path / "results"
    outcomes = carry_out(tmp_path, results, fault)
    assert {seed: outcome["state"] for seed, outcome in outcomes.items()} == {0: "done", 1: "failed", 2: "done"}
    assert message in outcomes[1]["error"]["message"]
    again = carry_out(tmp_path, results)
    assert {seed: outcome["state"] for seed, outcome in again.items()} == {0: "elsewhere", 1: "done", 2: "elsewhere"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    assert {outcome["state"] for outcome in carry_out(folder, folder / "results").values()} == {"done"}
    return folder / "results"


@pytest.mark.parametrize("name", ["status.json", "params.json", "metrics.json", "environment.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"], ids=["empty", "half", "list", "no text"])
def test_a_corrupt_file_is_a_state_of_that_run_alone(
    name: str, content: bytes, finished: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(finished / "runs", runs)
    (runs / RECIPES[1].run_id / name).write_bytes(content)
    planned = [PlannedRun("study", recipe.run_id, "arm", recipe) for recipe in RECIPES]
    assert states(runs, planned)["state"].tolist() == ["done", "corrupt", "done"]
    assert len(collect(runs, planned)) == 0  # these runs have no rows; none of them is a crash either
    assert [RunFolder(runs, recipe).is_done() for recipe in RECIPES] == [True, False, True]
    assert RunFolder(runs, RECIPES[1]).acquire() is not None, "running again repairs it"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)], capture_output=True)
    if mount.returncode:
        pytest.skip("a small file system can only be mounted by root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_a_named_failure_and_space_repairs_it(small_disk: Path, tmp_path: Path) -> None:
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(b"x" * 4096)
    job = {
        "recipe": RECIPES[0].model_dump(mode="json"),
        "results": str(small_disk),
        "notebook": str(template(tmp_path)),
    }
    outcome = execute_run(job)
    assert outcome["state"] == "failed" and "No space left" in outcome["error"]["message"]
    assert not RunFolder(small_disk / "runs", RECIPES[0]).is_done()
    filler.unlink()
    assert execute_run(job)["state"] == "done"


def test_a_folder_that_cannot_be_written_is_a_named_failure(tmp_path: Path) -> None:
    """A file where the folder should be: it stops root too, whom permissions do not."""
    (tmp_path / "results").write_text("")
    outcomes = carry_out(tmp_path, tmp_path / "results")
    assert {outcome["state"] for outcome in outcomes.values()} == {"failed"}
    assert all("results" in outcome["error"]["message"] for outcome in outcomes.values())
