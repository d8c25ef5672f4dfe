from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from xtc_study.recipe import Recipe
from xtc_study.runs.find import FindError, best_run, done_runs, find_run
from xtc_study.tasks.catalogue import find_task


def made_up(results: Path, score: float, size: int, state: str = "done", **fields: Any) -> str:
    recipe = Recipe.of(**{"task": "toy-inference", **fields})
    folder = results / "runs" / recipe.run_id
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "model.safetensors").write_bytes(b"\0" * size)
    rows = [{"split": "dev", "metric": find_task(recipe.task).primary_metric, "value": score, "n_examples": 8}]
    files = {
        "params": {"recipe": recipe.model_dump(mode="json")},
        "metrics": {"rows": rows},
        "status": {"state": state},
    }
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return recipe.run_id


def test_the_best_is_the_highest_score_that_fits(tmp_path: Path) -> None:
    large = made_up(tmp_path, 0.9, 900, seed=1)
    small = made_up(tmp_path, 0.8, 100, seed=2)
    made_up(tmp_path, 0.7, 10, seed=3)
    made_up(tmp_path, 0.99, 10, "failed", seed=4)
    assert best_run(tmp_path).path.name == large
    assert best_run(tmp_path, 900).path.name == large
    assert best_run(tmp_path, 899).path.name == small
    assert len(done_runs(tmp_path)) == 3


def test_of_equal_scores_the_smaller_file(tmp_path: Path) -> None:
    made_up(tmp_path, 0.9, 900, seed=1)
    small = made_up(tmp_path, 0.9, 100, seed=2)
    assert best_run(tmp_path).path.name == small


def test_tasks_are_not_compared(tmp_path: Path) -> None:
    made_up(tmp_path, 0.9, 900, seed=1)
    other = made_up(tmp_path, 0.5, 900, task="toy-paraphrase")
    with pytest.raises(FindError, match=r"of 2 tasks .*choose one with --task"):
        best_run(tmp_path)
    assert best_run(tmp_path, task="toy-paraphrase").path.name == other


def test_nothing_to_find(tmp_path: Path) -> None:
    with pytest.raises(FindError, match="no done run in"):
        best_run(tmp_path)
    made_up(tmp_path, 0.9, 900)
    with pytest.raises(FindError, match="no file of at most 10 bytes; the smallest has 900"):
        best_run(tmp_path, 10)
    with pytest.raises(FindError, match="no done run of task 'cola'"):
        best_run(tmp_path, task="cola")


def test_by_id(tmp_path: Path) -> None:
    run_id = made_up(tmp_path, 0.9, 900)
    found = find_run(tmp_path, run_id)
    assert (found.path.name, found.bytes, found.score) == (run_id, 900, 0.9)
    with pytest.raises(FindError, match=f"not done in .*done are {run_id}"):
        find_run(tmp_path, "toy-x")


@pytest.mark.parametrize("run_id", ["../runs/x", "..", "/etc", "a/b", "", "A", "x\n", ".hidden"])
def test_an_id_never_leaves_the_folder(run_id: str, tmp_path: Path) -> None:
    with pytest.raises(FindError, match="expected a run id"):
        find_run(tmp_path, run_id)


@pytest.mark.parametrize("name", ["params", "metrics", "status"])
@pytest.mark.parametrize("content", ["", "[]", "{}", "\0"])
def test_a_run_that_cannot_be_read_is_not_done(name: str, content: str, tmp_path: Path) -> None:
    run_id = made_up(tmp_path, 0.9, 900)
    (tmp_path / "runs" / run_id / f"{name}.json").write_text(content)
    assert done_runs(tmp_path) == []
