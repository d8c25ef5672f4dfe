"""A tuned study from its trials to its scores, really trained; no trial reads a dev row."""

from __future__ import annotations

import json
import random
import shutil
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from xtc_study.cli import app
from xtc_study.deploy.evaluate import measure
from xtc_study.places import Places
from xtc_study.recipe import Recipe
from xtc_study.runs.carry_out import RunFilter
from xtc_study.runs.notebook_run import NotebookRun
from xtc_study.study import Study
from xtc_study.training.pipeline import Pipeline

GLUE = Path(__file__).parent / "compat" / "fixtures" / "data"
TINY: dict[str, Any] = {"teacher_epochs": 2, "epochs": 1, "batch_size": 8, "max_length": 24}
CUT: dict[str, Any] = {"seeds": [0], "axes": {"weights": ["1-bit"], "activations": ["A8"]}}


def with_dev_of_noise(folder: Path) -> Path:
    """A copy of the data whose dev labels are drawn at random."""
    shutil.copytree(GLUE / "SST-2", folder / "SST-2")
    head, *rows = (GLUE / "SST-2" / "dev.tsv").read_text().splitlines()
    draw = random.Random(1)
    lines = [head, *(f"{row.split(chr(9))[0]}\t{draw.randrange(2)}" for row in rows)]
    (folder / "SST-2" / "dev.tsv").write_text("\n".join(lines) + "\n")
    return folder


def study_of(results: Path, data: Path) -> Study:
    tune = {"learning_rate": ["x1", "x0.01"]}
    places = Places(results, data)
    return Study("12_bits", places=places, tasks=["sst2"], overrides=TINY, tune=tune, **CUT)


def words_of(study: Study) -> list[str]:
    words = ["--task", "sst2", "--seed", "0", "--axis", "weights=1-bit", "--axis", "activations=A8"]
    words += [word for field, value in TINY.items() for word in ("--set", f"{field}={value}")]
    return [*words, "--tune", "learning_rate=x1,x0.01", "--results", str(study.places.results)]


class InThisProcess(Executor):
    """Carries out each run at once, without notebook and kernel, as the cells of run.ipynb do."""

    def submit(self, function: Any, job: Any, /, *args: Any, **options: Any) -> Future[Any]:
        recipe, given = Recipe.of(**job["recipe"]), job["parameters"]
        pipeline = Pipeline(recipe, Places(Path(job["results"]), Path(given["data_dir"])))
        run = NotebookRun(pipeline.places.results, recipe)
        evaluation = measure(pipeline, pipeline.teacher(), pipeline.student(), run.model_folder())
        device, precision = pipeline.precision.device, pipeline.precision.name
        run.record(evaluation.metrics, evaluation.predictions, evaluation.curve, device, precision)
        future: Future[Any] = Future()
        future.set_result({"run_id": recipe.run_id, "state": "done", "seconds": 1.0, "error": None})
        return future


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Carried out: two trials, then the run that they chose."""
    study = study_of(tmp_path_factory.mktemp("tuned") / "results", GLUE)
    trials = [trial.run_id for trial in study.trials]
    done = study.run(executor=InThisProcess())
    ids = [outcome["run_id"] for outcome in done.outcomes]
    assert (done.failed, set(ids[:2]), ids[2:]) == (0, set(trials), [study.planned[0].run_id])
    return study


def test_trials_choose_and_the_run_has_the_chosen_value(tuned: Study) -> None:
    (choice,) = tuned.runs.choices()
    assert choice.chosen is not None and all(score is not None for score in choice.scores)
    (run,) = tuned.planned
    assert run.recipe.learning_rate == choice.chosen["learning_rate"] and run.recipe.holdout is None
    assert list(tuned.states()["state"]) == ["done"] and tuned.to_do() == []
    (row,) = tuned.collect().to_dict("records")
    assert (row["split"], row["n_examples"]) == ("dev", 60)


def test_a_trial_records_its_rows_and_is_scored_on_them(tuned: Study) -> None:
    for trial in tuned.trials:
        folder = tuned.places.runs / trial.run_id
        metrics = json.loads((folder / "metrics.json").read_text())
        held = metrics["holdout"]
        assert (held["share"], held["seed"], held["rows"] + held["train_rows"]) == ("1/5", 0, 160)
        scored = pd.read_parquet(folder / "predictions.parquet")
        assert set(scored["split"]) == {"held-out"} and len(scored) == held["rows"]
        assert "This is a trial" in (folder / "model" / "README.md").read_text()


def test_dev_rows_decide_nothing(tuned: Study, tmp_path: Path) -> None:
    """The same trials, and so the same choice, where dev labels are noise, and where there is no dev file."""
    noise = with_dev_of_noise(tmp_path / "noise")
    other = study_of(tmp_path / "results", noise)
    assert len(other.trials) == 2
    for trial in other.trials:
        assert [one["state"] for one in other.outcomes(executor=InThisProcess(), which=RunFilter(limit=1))] == ["done"]
        assert (other.places.runs / trial.run_id / "status.json").is_file()
        (noise / "SST-2" / "dev.tsv").unlink(missing_ok=True)  # the second trial finds no dev file at all
    assert other.runs.choices() == tuned.runs.choices()
    for trial in tuned.trials:
        parts = [study.places.runs / trial.run_id / "predictions.parquet" for study in (tuned, other)]
        pd.testing.assert_frame_equal(*map(pd.read_parquet, parts))


def test_plan_status_and_report_show_the_trials(tuned: Study, tmp_path: Path) -> None:
    def shown(command: str, *more: str) -> str:
        result = CliRunner().invoke(app, [command, "12_bits", *words_of(tuned), *more], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return " ".join(result.output.split())

    (choice,) = tuned.runs.choices()
    assert f"trials: {len(tuned.trials)} done" in shown("status")
    output = shown("plan", "--list")
    assert "2 trials planned, 2 done, 0 to do; they try learning_rate x1, x0.01" in output
    assert f"1-bit, A8, sst2: at {choice.text}" in output
    assert all(f"done {run.run_id}" in output for run in [*tuned.trials, *tuned.planned])
    shown("report", "--output", str(tmp_path / "report"), "--no-runs")
    page = (tmp_path / "report" / "study-12_bits.html").read_text("utf-8")
    assert 'id="tuning"' in page and f"at {choice.text}" in page and "--tune learning_rate=x1,x0.01" in page
    assert "1 runs and 2 trials, each counted once" in (tmp_path / "report" / "index.html").read_text("utf-8")
