"""Which runs are carried out, in which order: trials first, then the runs at the values that they choose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fabricate import make_done_run

from xtc_study.places import Places
from xtc_study.runs.carry_out import RunFilter
from xtc_study.studies import PlannedRun
from xtc_study.study import Study
from xtc_study.study_runs import judged, rounds
from xtc_study.suite import cost_together

RATES = {"learning_rate": ["x1", "x2.5", "x5"]}
CUT: dict[str, Any] = {"seeds": [0, 1], "axes": {"weights": ["32-bit", "1-bit"], "activations": ["A8"]}}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return make(tmp_path)


def make(results: Path, name: str = "12_bits", **chosen: Any) -> Study:
    return Study(name, places=Places(results), **{**CUT, "tune": RATES, **chosen})


def finish(study: Study, run: PlannedRun, score: float = 0.5) -> None:
    """Make a done run with this score."""
    folder = make_done_run(study.places.runs, run)
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["rows"] = [{**row, "value": score} for row in metrics["rows"]]
    (folder / "metrics.json").write_text(json.dumps(metrics))


def finish_trials(study: Study, best: float) -> None:
    """Finish every trial that is missing; the trials of one rate are the best."""
    for trial in study.to_do():
        finish(study, trial, 0.9 if trial.recipe.learning_rate == best else 0.5)


def fail(study: Study, run: PlannedRun, error: str = "OSError") -> None:
    folder = study.places.runs / run.run_id
    folder.mkdir(parents=True)
    (folder / "error.json").write_text(json.dumps({"type": error, "message": "no space"}))


def test_trials_come_first_and_the_others_wait(study: Study) -> None:
    assert len(study.trials) == 2 * 3 and {run.recipe.seed for run in study.trials} == {0}
    assert [run.waits for run in study.planned] == [True] * 4
    assert study.to_do() == study.trials
    assert set(study.states()["state"]) == {"missing"} and len(study.states()) == 4
    assert len(study.runs.states()) == 10


def test_what_the_trials_choose_is_planned(study: Study) -> None:
    finish_trials(study, best=2.5e-3)
    assert {run.recipe.learning_rate for run in study.planned} == {2.5e-3}
    assert study.to_do() == study.planned and not any(run.waits for run in study.planned)
    untuned = Study("12_bits", places=Places(study.places.results), **CUT, overrides={"learning_rate": 2.5e-3})
    assert [run.run_id for run in study.planned] == [run.run_id for run in untuned.planned]


def test_runs_at_the_arm_s_own_values_are_not_counted_while_nothing_is_chosen(study: Study) -> None:
    for run in make(study.places.results, tune="none").planned:
        finish(study, run)
    assert set(study.states()["state"]) == {"missing"} and study.collect().empty


def test_the_rounds_of_a_study(study: Study) -> None:
    turns = rounds([study.runs])
    first = next(turns)
    assert list(first) == [trial.run_id for trial in study.trials]
    finish_trials(study, best=5e-3)
    second = next(turns)
    assert list(second) == [run.run_id for run in study.planned]
    assert {run.recipe.learning_rate for run in second.values()} == {5e-3}
    assert list(turns) == []


def test_of_an_arm_whose_trial_failed_no_run_is_carried_out(study: Study) -> None:
    turns = rounds([study.runs])
    next(turns)
    failing, *others = study.trials
    fail(study, failing)
    for trial in others:
        finish(study, trial)
    assert {run.arm for run in next(turns).values()} == {"1-bit, A8"}
    assert study.to_do(RunFilter(only_failed=True)) == [failing]


def test_a_trial_that_diverged_is_not_tried_again_unless_forced(study: Study) -> None:
    lost = [trial for trial in study.trials if trial.recipe.learning_rate == 5e-3]
    for trial in lost:
        fail(study, trial, "FloatingPointError")
    finish_trials(study, best=1e-3)
    assert study.to_do() == study.planned and {run.recipe.learning_rate for run in study.planned} == {1e-3}
    assert study.to_do(RunFilter(only_failed=True)) == []
    assert set(lost) < set(study.to_do(RunFilter(force=True)))
    assert list(study.runs.trial_states()["state"]).count("diverged") == 2
    page = study.page()
    assert not page.failures
    assert list(page.tuning.text["Held-out score of each value"]) == ["1e-3: 90.0; 2.5e-3: 50.0; 5e-3: diverged"] * 2


def test_the_outcome_of_a_trial_that_diverged_is_no_failure(study: Study) -> None:
    error = {"type": "FloatingPointError", "message": "the loss is nan", "cell": 4}
    outcome = {"run_id": study.trials[0].run_id, "state": "failed", "seconds": 1.0, "error": error}
    assert judged(outcome) == {**outcome, "state": "diverged"}
    assert judged({**outcome, "run_id": "own-trial-seed0-0123456789"})["state"] == "failed"
    assert judged({**outcome, "error": {**error, "type": "OSError"}})["state"] == "failed"
    assert judged({**outcome, "state": "done", "error": None})["state"] == "done"


def test_without_a_choice_there_is_no_second_round(study: Study) -> None:
    turns = rounds([study.runs])
    for trial in next(turns).values():
        fail(study, trial)
    assert list(turns) == []
    untuned = rounds([make(study.places.results, tune="none").runs])
    assert len(next(untuned)) == 4 and list(untuned) == []


def test_a_limit_is_of_both_rounds(study: Study) -> None:
    assert len(next(rounds([study.runs], RunFilter(limit=2)))) == 2
    turns = rounds([study.runs], RunFilter(limit=7))
    assert len(next(turns)) == 6
    finish_trials(study, best=1e-3)
    assert len(next(turns)) == 1


def test_of_one_arm_only_its_trials_are_carried_out(study: Study) -> None:
    turns = rounds([study.runs], RunFilter(arms=["1-bit, A8"]))
    assert {run.arm for run in next(turns).values()} == {"1-bit, A8"}
    for trial in study.to_do(RunFilter(arms=["1-bit, A8"])):
        finish(study, trial)
    assert [(run.arm, run.recipe.seed) for run in next(turns).values()] == [("1-bit, A8", 0), ("1-bit, A8", 1)]


def test_studies_share_their_trials(study: Study) -> None:
    both = [study, make(study.places.results, axes={"weights": ["1-bit", "2-bit"], "activations": ["A8"]})]
    first = next(rounds([one.runs for one in both]))
    assert len(first) == 9, "three rates of 32, 1 and 2 bits"
    alone, together = cost_together([study]), cost_together(both)
    assert alone.steps_shared == 2 + 1 + 2 * 3 + 2 * 2, "teachers of two seeds and of the trials, trials, runs"
    assert together.steps_shared == alone.steps_shared + 3 + 2


def test_a_page_shows_what_was_chosen_and_what_it_cost(study: Study) -> None:
    finish_trials(study, best=5e-3)
    for run in study.planned:
        finish(study, run, 0.8)
    page = study.page()
    assert list(page.arms.text["Tuned"]) == ["at 5e-3, the largest tried"] * 2 + ["\N{EN DASH}"] * 2, "then baselines"
    assert list(page.tasks.text["Tuned"]) == ["at 5e-3, the largest tried"] * 2
    assert list(page.runs.text["Tuned"]) == ["at 5e-3, the largest tried"] * 4
    assert list(page.tuning.text["Held-out score of each value"]) == ["1e-3: 50.0; 2.5e-3: 50.0; 5e-3: 90.0"] * 2
    assert "toy-inference 200" in page.tuning.caption and "6 trials are done" in page.tuning.caption
    assert len(page.trial_seconds) == 6 and page.provenance["Tuning"] == "0.02 h over 6 trials"
    assert not set(page.trial_seconds) & set(page.frame["run_id"])
    assert any(limit.startswith("2 of 2 tuned choices are at the end") for limit in page.limits)
    assert not any("same learning rate" in limit for limit in page.limits)


def test_a_page_without_tuning_says_so(study: Study) -> None:
    page = make(study.places.results, tune=None).page()
    assert not page.tuning and "Nothing was tuned" in page.tuning.caption
    assert any("every arm gets the same learning rate" in limit for limit in page.limits)
    assert not any("learning rate" in limit for limit in Study("13_learning_rate").page().limits if "tuned" in limit)


def test_tasks_that_chose_differently_are_named(tmp_path: Path) -> None:
    study = make(tmp_path, tasks=["toy-inference", "toy-sentiment"], seeds=[0])
    for trial in study.to_do():
        best = 2.5e-3 if trial.recipe.task == "toy-inference" else 1e-3
        finish(study, trial, 0.9 if trial.recipe.learning_rate == best else 0.5)
    for run in study.planned:
        finish(study, run, 0.8)
    shown = "toy-inference at 2.5e-3; toy-sentiment at 1e-3, the smallest tried"
    assert list(study.page().arms.text["Tuned"])[:2] == [shown] * 2


def test_the_command_carries_what_was_chosen_to_be_tuned(study: Study) -> None:
    assert "--tune learning_rate=x1,x2.5,x5 " in study.command()
    assert "--tune none " in make(study.places.results, tune="none").command()
    assert "--tune" not in make(study.places.results, tune=None).command()
    more = {"epochs": [1, 2], "seeds": [0, 1], "holdout": "1/4"}
    assert "--tune epochs=1,2 --tune holdout=1/4 --tune seeds=0,1 " in make(study.places.results, tune=more).command()
