"""One run through papermill, with a notebook of three cells: how it ends is what the folder says."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest
from patience import HANG_SECONDS
from templates import write_template

from xtc_study.recipe import Recipe
from xtc_study.runs.execute import execute_run, run_notebook
from xtc_study.runs.executors import run_recipes
from xtc_study.runs.records import state_of

RECIPE = Recipe.of(task="toy-sentiment")

RECORD = """
from pathlib import Path
import pandas as pd
from xtc_study.recipe import Recipe
from xtc_study.runs.notebook_run import NotebookRun
run = NotebookRun(Path(results_dir), Recipe.from_names(globals()), claim)
"""
FINISH = """
import os
metrics = {"rows": [], "size_bytes": 1, "size_bytes_paper": 1, "teacher_size_bytes": 1}
metrics["threads"] = os.environ.get("OMP_NUM_THREADS")
run.record(metrics, pd.DataFrame({"idx": [0]}), [], "cpu", "fp32")
"""


def notebook(folder: Path, *cells: str) -> Path:
    return write_template(folder / "template {x}.ipynb", *cells)


def job(folder: Path, template: Path, **fields: Any) -> dict[str, Any]:
    return {"recipe": RECIPE.model_dump(mode="json"), "results": str(folder), "notebook": str(template), **fields}


def test_a_run_ends_done_with_its_notebook_and_is_not_repeated(tmp_path: Path) -> None:
    template = notebook(tmp_path, RECORD, FINISH)
    outcome = execute_run(job(tmp_path, template, threads=1))
    folder = tmp_path / "runs" / RECIPE.run_id
    assert outcome["state"] == "done" and outcome["run_id"] == RECIPE.run_id and outcome["seconds"] > 0
    assert json.loads((folder / "status.json").read_text())["state"] == "done"
    assert json.loads((folder / "metrics.json").read_text())["threads"] == "1"
    assert nbformat.read(folder / "notebook.ipynb", 4).cells[-1]["execution_count"] == 4
    assert not (folder / "claim.json").exists() and not list(folder.glob("*.partial"))
    assert execute_run(job(tmp_path, template))["state"] == "skipped"


def test_failing_cell_fails_the_run_with_its_error_and_can_be_retried(tmp_path: Path) -> None:
    outcome = execute_run(job(tmp_path, notebook(tmp_path, RECORD, "raise FloatingPointError('loss is <nan>')")))
    folder = tmp_path / "runs" / RECIPE.run_id
    assert outcome["state"] == "failed"
    assert json.loads((folder / "status.json").read_text())["state"] == "failed"
    error = json.loads((folder / "error.json").read_text())
    assert (error["type"], error["message"], error["cell"]) == ("FloatingPointError", "loss is <nan>", 4)
    assert "raise FloatingPointError" in "\n".join(error["traceback"]) and "\x1b" not in str(error)
    assert execute_run(job(tmp_path, notebook(tmp_path, RECORD, FINISH)))["state"] == "done"
    assert not (folder / "error.json").exists()


def test_a_kernel_s_environment_is_not_that_of_other_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    seen = {}
    execute = papermill.execute_notebook

    def look(*words: Any, **options: Any) -> Any:
        seen.update(os.environ)
        return execute(*words, **options)

    monkeypatch.setattr(papermill, "execute_notebook", look)
    cells = ["import os\nprint(os.environ['OMP_NUM_THREADS'], os.environ['TQDM_DISABLE'])"]
    run_notebook(notebook(tmp_path, *cells), tmp_path / "out.ipynb", {}, threads=3)
    assert nbformat.read(tmp_path / "out.ipynb", 4).cells[-1]["outputs"][0]["text"] == "3 1\n"
    assert (seen["OMP_NUM_THREADS"], os.environ["OMP_NUM_THREADS"]) == ("7", "7") and "TQDM_DISABLE" not in seen


@pytest.mark.parametrize(
    ("cells", "parameters", "message"),
    [
        ([RECORD], {}, "ended without writing metrics.json"),
        ([RECORD, FINISH], {"precison": "fp32"}, "unknown parameter precison"),
        (["import os, signal; os.kill(os.getpid(), signal.SIGKILL)"], {}, "died"),
    ],
    ids=["no results", "unknown parameter", "killed kernel"],
)
def test_other_ends_are_failures_too(
    cells: list[str], parameters: dict[str, str], message: str, tmp_path: Path
) -> None:
    outcome = execute_run(job(tmp_path, notebook(tmp_path, *cells), parameters=parameters))
    assert outcome["state"] == "failed" and message in outcome["error"]["message"]


def test_a_done_run_is_repeated_only_when_asked_to_and_stays_done_until_then(tmp_path: Path) -> None:
    template = notebook(tmp_path, RECORD, FINISH)
    assert execute_run(job(tmp_path, template))["state"] == "done"
    status = tmp_path / "runs" / RECIPE.run_id / "status.json"
    first = status.read_bytes()
    assert execute_run(job(tmp_path, template))["state"] == "skipped" and status.read_bytes() == first
    asked = {**job(tmp_path, template), "redo": True}
    assert status.read_bytes() == first, "asking for it changes nothing yet"
    assert execute_run(asked)["state"] == "done" and status.stat().st_size


def test_interrupted_run_releases_its_lease_and_is_not_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*words: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("xtc_study.runs.execute.run_notebook", interrupted)
    with pytest.raises(KeyboardInterrupt):
        execute_run(job(tmp_path, tmp_path / "template.ipynb"))
    assert state_of(tmp_path / "runs" / RECIPE.run_id) == ("missing", "")


def test_cell_timeout_fails_the_run_and_keeps_its_output(tmp_path: Path) -> None:
    """The limit holds for every cell, so the others do nothing that could take so long on a busy machine."""
    template = notebook(tmp_path, "import time\nprint('step 1 of 9', flush=True)\ntime.sleep(3600)", FINISH)
    outcome = execute_run(job(tmp_path, template, timeout=5))
    folder = tmp_path / "runs" / RECIPE.run_id
    assert outcome["state"] == "failed" and outcome["seconds"] < 3600
    assert "timed out" in json.loads((folder / "error.json").read_text())["message"]
    assert "step 1 of 9" in (folder / "log.txt").read_text()
    assert execute_run(job(tmp_path, notebook(tmp_path, RECORD, FINISH), timeout=HANG_SECONDS))["state"] == "done"


def test_recipes_run_once_each_in_processes_and_on_any_executor(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    template = notebook(tmp_path, RECORD, FINISH)
    recipes = [Recipe.of(task="toy-sentiment", seed=seed) for seed in (0, 1, 0)]
    outcomes = list(run_recipes(recipes, tmp_path, template, {}, workers=2))
    assert sorted(one["state"] for one in outcomes) == ["done", "done"]
    with ThreadPoolExecutor(1) as pool:
        more = list(run_recipes([*recipes, Recipe.of(task="cola")], tmp_path, template, {}, executor=pool))
    assert sorted(one["state"] for one in more) == ["done", "elsewhere", "elsewhere"]


def test_a_run_of_an_executor_s_thread_has_the_card_that_the_thread_chose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from xtc_study.runs import execute

    asked = []
    monkeypatch.setattr(execute, "card_of_this_thread", lambda device: asked.append(device) or "1")
    template = notebook(tmp_path, "import os\nprint(os.environ.get('CUDA_VISIBLE_DEVICES'))", RECORD, FINISH)
    with ThreadPoolExecutor(1) as pool:
        (outcome,) = run_recipes([RECIPE], tmp_path, template, {}, executor=pool)
    assert outcome["state"] == "done" and asked == ["auto"]
    assert (tmp_path / "runs" / RECIPE.run_id / "log.txt").read_text().startswith("1\n")
