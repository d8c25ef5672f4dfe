from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from filelock import FileLock

from xtc_study.recipe import Recipe
from xtc_study.runs import lease
from xtc_study.runs.lease import LeaseError
from xtc_study.runs.notebook_run import NotebookRun
from xtc_study.runs.store import RunFolder

RECIPE = Recipe.of(task="cola")
PREDICTIONS = pd.DataFrame({"idx": [0], "prediction": [1.0]})


def record(run: NotebookRun, accuracy: float = 0.5) -> Path:
    rows = [{"split": "dev", "metric": "accuracy", "value": accuracy, "n_examples": 1}]
    sizes = {"size_bytes": 1, "size_bytes_paper": 1, "teacher_size_bytes": 1}
    return run.record({"rows": rows, **sizes}, PREDICTIONS, [], "cpu", "fp32")


def accuracy(run: NotebookRun) -> float:
    return json.loads((run.path / "metrics.json").read_text())["rows"][0]["value"]


def test_by_hand_it_claims_and_finishes(tmp_path: Path) -> None:
    run = NotebookRun(tmp_path, RECIPE)
    assert run.by_hand
    assert not run.done_before
    assert run.path == tmp_path / "runs" / RECIPE.run_id
    assert (run.path / "claim.json").is_file()
    assert record(run) == run.path
    assert run.folder.is_done()
    assert accuracy(run) == 0.5
    environment = json.loads((run.path / "environment.json").read_text())
    assert (environment["device"], environment["precision"]) == ("cpu", "fp32")


def test_a_run_done_before_is_left_as_it_is(tmp_path: Path) -> None:
    record(NotebookRun(tmp_path, RECIPE), 0.5)
    again = NotebookRun(tmp_path, RECIPE)
    assert again.done_before
    record(again, 0.9)
    assert accuracy(again) == 0.5
    assert again.folder.is_done()
    assert not (again.path / "claim.json").exists()


def test_by_hand_a_cell_may_be_run_again(tmp_path: Path) -> None:
    NotebookRun(tmp_path, RECIPE)
    again = NotebookRun(tmp_path, RECIPE)
    record(again)
    assert again.folder.is_done()
    record(again, 0.9)
    assert accuracy(again) == 0.5


def test_the_model_of_a_run_done_before_is_left_as_it_is(tmp_path: Path) -> None:
    run = NotebookRun(tmp_path, RECIPE)
    assert run.model_folder() == run.path / "model"
    record(run)
    again = NotebookRun(tmp_path, RECIPE)
    elsewhere = again.model_folder()
    assert elsewhere.parent.is_dir() and run.path not in elsewhere.parents and not elsewhere.exists()
    assert run.model_folder() != run.path / "model", "a cell that is run again after the run was recorded"


def test_by_hand_a_dead_machines_run_is_taken_over_after_a_watch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lease, "STALE_SECONDS", 0.2)
    monkeypatch.setattr(lease, "LOOK_SECONDS", 0.05)
    folder = tmp_path / "runs" / RECIPE.run_id
    folder.mkdir(parents=True)
    (folder / "claim.json").write_text('{"token": "t", "host": "a-dead-machine", "pid": 1}')
    record(NotebookRun(tmp_path, RECIPE))
    assert "held by machine a-dead-machine; waiting for its heartbeat" in capsys.readouterr().out
    assert RunFolder(tmp_path / "runs", RECIPE).is_done()


def test_by_hand_a_run_taken_over_writes_nothing(tmp_path: Path) -> None:
    run = NotebookRun(tmp_path, RECIPE)
    (run.path / "claim.json").write_text('{"token": "theirs", "host": "another-machine", "pid": 1}')
    for writes in (run.model_folder, lambda: record(run)):
        with pytest.raises(LeaseError, match="the lease of this notebook is not the one in its folder"):
            writes()
    assert not (run.path / "metrics.json").exists()


def test_by_hand_not_while_another_process_holds_the_run(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / RECIPE.run_id
    folder.mkdir(parents=True)
    with (
        FileLock(folder / "claim.lock"),
        pytest.raises(LeaseError, match=f"run {RECIPE.run_id}: another process is carrying it out"),
    ):
        NotebookRun(tmp_path, RECIPE)


def test_a_run_taken_over_records_nothing(tmp_path: Path) -> None:
    token = RunFolder(tmp_path / "runs", RECIPE).acquire()
    assert token
    run = NotebookRun(tmp_path, RECIPE, token)
    (run.path / "claim.json").write_text('{"token": "theirs"}')
    with pytest.raises(LeaseError, match="not the one in its folder"):
        record(run)
    assert not (run.path / "metrics.json").exists()


def test_for_a_caller_it_leaves_the_status_to_the_caller(tmp_path: Path) -> None:
    token = RunFolder(tmp_path / "runs", RECIPE).acquire()
    assert token
    run = NotebookRun(tmp_path, RECIPE, token)
    assert not run.by_hand
    record(run)
    assert accuracy(run) == 0.5
    assert not run.folder.is_done()
    assert (run.path / "claim.json").is_file()


@pytest.mark.parametrize("content", [None, '{"token": "other"}', "{", "[]", "{}"], ids=str)
def test_a_claim_that_is_not_the_one_passed_on(tmp_path: Path, content: str | None) -> None:
    folder = tmp_path / "runs" / RECIPE.run_id
    folder.mkdir(parents=True)
    if content is not None:
        (folder / "claim.json").write_text(content)
    with pytest.raises(LeaseError, match="the lease passed as 'claim' is not the one in its folder"):
        NotebookRun(tmp_path, RECIPE, "mine")
