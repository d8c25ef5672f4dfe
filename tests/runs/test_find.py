from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from xtc_study.recipe import Recipe
from xtc_study.runs.find import FindError, best_run, done_runs, find_run
from xtc_study.runs.records import state_of
from xtc_study.tasks.catalogue import find_task


def made_up(results: Path, score: float, size: int, state: str = "done", **fields: Any) -> str:
    recipe = Recipe.of(**{"task": "toy-inference", **fields})
    folder = results / "runs" / recipe.run_id
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "model.safetensors").write_bytes(b"\0" * size)
    rows = [{"split": "dev", "metric": find_task(recipe.task).primary_metric, "value": score, "n_examples": 8}]
    sizes = dict.fromkeys(("size_bytes", "size_bytes_paper", "teacher_size_bytes"), size)
    files = {
        "params": {"recipe": recipe.model_dump(mode="json")},
        "metrics": {"rows": rows, **sizes},
        "environment": {},
        "status": {"state": state},
    }
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    (folder / "predictions.parquet").touch()
    return recipe.run_id


def test_the_best_is_the_highest_score_that_fits(tmp_path: Path) -> None:
    large = made_up(tmp_path, 0.9, 900, seed=1)
    small = made_up(tmp_path, 0.8, 100, seed=2)
    made_up(tmp_path, 0.7, 10, seed=3)
    made_up(tmp_path, 0.99, 10, "failed", seed=4)
    assert best_run(tmp_path, 900).run.path.name == large
    assert best_run(tmp_path, 899).run.path.name == small
    assert len(done_runs(tmp_path)) == 3


def test_of_equal_scores_the_smaller_file(tmp_path: Path) -> None:
    made_up(tmp_path, 0.9, 900, weight_bits=32)
    small = made_up(tmp_path, 0.9, 100, weight_bits=2)
    assert best_run(tmp_path).run.path.name == small
    assert best_run(tmp_path, 1000).run.path.name == small


def test_without_a_limit_the_smallest_file_within_the_noise_of_seeds(tmp_path: Path) -> None:
    """Scores of seeds 0.91 and 0.89, and 0.90 and 0.88: a standard deviation of sqrt(0.0002) = 0.0141 in each."""
    full = [made_up(tmp_path, score, 900, weight_bits=32, seed=seed) for seed, score in enumerate((0.91, 0.89))]
    two = [made_up(tmp_path, score, 100, weight_bits=2, seed=seed) for seed, score in enumerate((0.90, 0.88))]
    made_up(tmp_path, 0.895, 10, weight_bits=1)
    found = best_run(tmp_path)
    assert (found.run.path.name, found.best.path.name) == (two[0], full[0])
    assert found.noise == pytest.approx(0.0002**0.5) and found.among == 5
    assert found.reason == (
        f"chosen from 5: {two[0]}, accuracy 0.9000, 0.000 MB; the smallest file within 1.41 points, one standard "
        f"deviation over seeds, of the best ({full[0]}, accuracy 0.9100, 0.001 MB)"
    )
    assert best_run(tmp_path, 1000).run.path.name == full[0], "a limit says what size is wanted: the best that fits"


def test_a_single_seed_has_no_noise_and_the_best_is_taken(tmp_path: Path) -> None:
    full = made_up(tmp_path, 0.91, 900, weight_bits=32)
    made_up(tmp_path, 0.90, 100, weight_bits=2)
    assert best_run(tmp_path).run.path.name == full
    assert best_run(tmp_path).reason.endswith("; the best score")


def test_tasks_are_not_compared(tmp_path: Path) -> None:
    made_up(tmp_path, 0.9, 900, seed=1)
    other = made_up(tmp_path, 0.5, 900, task="toy-paraphrase")
    with pytest.raises(FindError, match=r"of 2 tasks .*choose one with --task"):
        best_run(tmp_path)
    assert best_run(tmp_path, task="toy-paraphrase").run.path.name == other


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
    with pytest.raises(FindError, match=r"run 'another': not in .*, which has 1 done$"):
        find_run(tmp_path, "another")


def test_mistyped_run_id_suggests_a_few_near_ones(tmp_path: Path) -> None:
    ids = [made_up(tmp_path, 0.9, 900, seed=seed) for seed in range(12)]
    with pytest.raises(FindError, match=r"did you mean (?P<near>.*)\?$") as said:
        find_run(tmp_path, ids[0].replace("toy", "toi"))
    named = [run_id for run_id in ids if run_id in str(said.value)]
    assert len(named) == 3 and ids[0] in named


def test_why_a_run_cannot_be_taken_is_said(tmp_path: Path) -> None:
    failed = made_up(tmp_path, 0.9, 900, "failed", seed=1)
    with pytest.raises(FindError, match=r"failed, not done, in .*: status\.json has state 'failed'"):
        find_run(tmp_path, failed)
    corrupt = made_up(tmp_path, 0.9, 900, seed=2)
    (tmp_path / "runs" / corrupt / "metrics.json").write_text("{")
    with pytest.raises(FindError, match=r"corrupt, not done, in .*: metrics\.json: "):
        find_run(tmp_path, corrupt)
    without = made_up(tmp_path, 0.9, 900, seed=3)
    (tmp_path / "runs" / without / "model" / "model.safetensors").unlink()
    with pytest.raises(FindError, match=r"done, but .*model is missing"):
        find_run(tmp_path, without)


@pytest.mark.parametrize("run_id", ["../runs/x", "..", "/etc", "a/b", "", "A", "x\n", ".hidden"])
def test_an_id_never_leaves_the_folder(run_id: str, tmp_path: Path) -> None:
    with pytest.raises(FindError, match="expected a run id"):
        find_run(tmp_path, run_id)


@pytest.mark.parametrize("name", ["params.json", "metrics.json", "status.json", "environment.json"])
@pytest.mark.parametrize("content", ["", "[]", "\0"])
def test_a_run_that_cannot_be_read_is_not_done(name: str, content: str, tmp_path: Path) -> None:
    run_id = made_up(tmp_path, 0.9, 900)
    assert len(done_runs(tmp_path)) == 1
    (tmp_path / "runs" / run_id / name).write_text(content)
    assert done_runs(tmp_path) == []


def test_done_is_what_records_says(tmp_path: Path) -> None:
    """A score beyond its metric, a size that is none, predictions that are gone: reports call these runs corrupt."""
    ids = [made_up(tmp_path, 7.0 if seed == 0 else 0.9, 900, seed=seed) for seed in range(3)]
    metrics = tmp_path / "runs" / ids[1] / "metrics.json"
    metrics.write_text(metrics.read_text().replace('"size_bytes": 900', '"size_bytes": -1'))
    (tmp_path / "runs" / ids[2] / "predictions.parquet").unlink()
    assert [state_of(tmp_path / "runs" / run_id)[0] for run_id in ids] == ["corrupt"] * 3
    assert done_runs(tmp_path) == []


def test_a_reason_gives_a_metric_as_a_reader_sees_it(tmp_path: Path) -> None:
    run_id = made_up(tmp_path, 0.9, 900)
    path = tmp_path / "runs" / run_id / "metrics.json"
    path.write_text(path.read_text().replace('"accuracy"', '"f1_of:1:spam"'))
    assert best_run(tmp_path).reason == f"chosen from 1: {run_id}, f1 of spam 0.9000, 0.001 MB; the best score"
