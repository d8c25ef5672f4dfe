"""A data set of one's own, from its description to a file that is exported and scored anew."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from xtc_study.cli import app
from xtc_study.places import Places
from xtc_study.runs.carry_out import RunFilter
from xtc_study.runs.find import best_run
from xtc_study.study import Study
from xtc_study.tasks.generated.toy import load_toy
from xtc_study.tasks.task import DataError
from xtc_study.training.pipeline import Pipeline

TINY = {"teacher_epochs": 0.5, "epochs": 0.25}
ONE_ARM = {"weights": ["32-bit", "1-bit"], "activations": ["A32", "A8"]}


def write_data(folder: Path, rows: int = 320) -> Path:
    with (folder / "train.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "verdict"])
        for row in load_toy("toy-sentiment")["train"].select(range(rows)):
            writer.writerow([row["sentence"], ["<i>no</i>", "yes"][row["label"]]])
    path = folder / "my.yml"
    path.write_text("{name: mine, files: {train: train.csv}, held_out: 0.2, text: text, label: verdict}")
    return path


def test_from_a_description_to_an_exported_file(tmp_path: Path) -> None:
    path, results = write_data(tmp_path), tmp_path / "results"
    chosen = {"tasks": [str(path)], "seeds": [0], "axes": ONE_ARM, "overrides": TINY, "places": Places(results)}
    study = Study("12_bits", **chosen)
    (outcome,) = study.outcomes(workers=1, which=RunFilter(arms=["1-bit, A8"]))
    assert outcome["state"] == "done", outcome["error"]
    frame = study.collect()
    (task,) = set(frame["task"])
    assert task.startswith("own-mine-") and list(frame["metric"]) == ["accuracy"] and list(frame["n_examples"]) == [64]
    run = best_run(results).run
    config = json.loads((run.model / "config.json").read_text())
    assert config["id2label"] == {"0": "<i>no</i>", "1": "yes"}, "the file answers in the data's own labels"
    command = study.run_commands()[run.path.name]
    assert f"-r task {task}" in command and json.dumps({"task_files": [str(path)]}) in command
    words = ["export", "--best", "--task", str(path), "--results", str(results), "--rest", "fp16"]
    result = CliRunner().invoke(app, [*words, "--output", str(tmp_path / "out")], catch_exceptions=False)
    assert result.exit_code == 0 and "dev accuracy" in result.output, result.output

    write_data(tmp_path, 330)  # other data are another task: nothing of it is done, and old runs keep their name
    again = Study("12_bits", **chosen)
    assert set(again.states()["state"]) == {"missing"} and again.planned[0].recipe.task != task
    with pytest.raises(DataError, match="changed since this run was planned"):
        Pipeline(run.recipe, Places(results, task_files=(path,)))


def test_a_plan_refuses_wrong_rows(tmp_path: Path) -> None:
    path = write_data(tmp_path)
    with (tmp_path / "train.csv").open("a") as file:
        file.write("the food was good,\n")
    with pytest.raises(DataError, match=r"train\.csv, line 322, column 'verdict': '', expected a label"):
        Study("12_bits", tasks=[path], places=Places(tmp_path / "results"))
    assert not (tmp_path / "results").exists()


def test_a_plan_says_what_the_runs_will_read(tmp_path: Path) -> None:
    path = write_data(tmp_path)
    path.write_text(
        path.read_text().replace("label: verdict", "label: verdict, metrics: [f1, matthews], positive: 'yes'")
    )
    words = ["plan", "12_bits", "--task", str(path), "--results", str(tmp_path / "results")]
    told = CliRunner().invoke(app, words, catch_exceptions=False).output
    assert "my.yml, task own-mine-" in told and "train 256 rows, dev 64 rows; metrics: f1 of yes, matthews" in told
    counts = [line.split() for line in told.splitlines() if " in train, " in line]
    assert [line[0] for line in counts] == ["'<i>no</i>':", "'yes':"] and sum(int(line[4]) for line in counts) == 64
    assert "rows of dev: none is longer than max_length=48 tokens (the longest has" in told
    told = CliRunner().invoke(app, [*words, "--set", "max_length=8"], catch_exceptions=False).output
    assert "256 of 256 rows of train (100%) are longer than max_length=8" in told and "would hold 95 %" in told
    (tmp_path / "train.csv").write_text("text,verdict\n" + "".join(f"gewiss {n},{n % 2}\n" for n in range(20)))
    path.write_text("{name: mine, files: {train: train.csv}, held_out: 0.2, text: text, label: verdict}")
    told = CliRunner().invoke(app, words, catch_exceptions=False).output
    assert "a run will refuse model='builtin:tiny': 100% of the tokens of this text are unknown" in told


def test_a_model_in_a_folder_here_is_found_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "models")

    def model(**chosen: Any) -> str:
        return Study("12_bits", overrides={"model": "mine"}, **chosen).planned[0].recipe.model

    assert model() == str(tmp_path / "models" / "mine"), "kernels work in another folder"
    assert model(places=Places(tmp_path, models_dir=tmp_path / "models")) == "mine", (
        "a name below --models-dir stays the same everywhere"
    )
