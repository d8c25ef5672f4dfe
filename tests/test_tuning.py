"""What is tried: which fields, which values, for which arms, and what a trial's recipe is."""

from __future__ import annotations

import math
from typing import Any

import pytest

from xtc_study.chain import chain
from xtc_study.profiles import load_profile
from xtc_study.recipe import Recipe
from xtc_study.studies import PlannedRun, StudyError, StudySpec, load_study, plan, study_at
from xtc_study.trials import chosen_tune, tuned_arms, tuned_run, waiting_run
from xtc_study.tuning import Tune, TuneError, distance, grid_of, number_text, own_fields, trial_of, values_text

RATES: dict[str, Any] = {"learning_rate": ["x1", "x2.5", "x5"]}
BINARY = Recipe.of(task="cola", learning_rate=2e-4, reduce_learning_rate=1e-4, epochs=9, reduce_epochs=6)
SMALL = Recipe.of(**{**BINARY.model_dump(), "layers": "1/2"})
SMALL_FULL = Recipe.of(**{**SMALL.model_dump(), "weight_bits": 32, "activation_bits": 32})


def test_it_is_written_as_fields_with_values_and_settings() -> None:
    tune = Tune.of({**RATES, "epochs": [3, 9], "seeds": [0, 1], "holdout": "1/4", "length": "1/3"})
    assert tune.values == {"learning_rate": ("x1", "x2.5", "x5"), "epochs": (3, 9)}
    assert (tune.seeds, tune.holdout, tune.length) == ((0, 1), "1/4", "1/3")
    assert tune.settings == {"seeds": [0, 1], "holdout": "1/4", "length": "1/3"}
    assert Tune.of(RATES).settings == {} and (Tune.of(RATES).seeds, Tune.of(RATES).holdout) == ((0,), "1/5")
    assert Tune.of("none") == Tune() and Tune.of(Tune.of(RATES).model_dump()) == Tune.of(RATES)
    assert Tune.of({**RATES, "seeds": 3}).seeds == (3,)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"learning_rates": ["x1", "x2"]}, r"'learning_rates' cannot be tuned; expected learning_rate.*did you mean"),
        ({"weight_bits": [1, 2]}, "'weight_bits' cannot be tuned"),
        ({"learning_rate": []}, r"learning_rate=\[\]: expected at least two values"),
        ({"learning_rate": ["x1"]}, "use --set learning_rate=VALUE"),
        ({"learning_rate": [1e-4, 1e-4]}, "expected at least two values"),
        ({"learning_rate": "x1"}, "learning_rate='x1': expected a list"),
        ({"learning_rate": ["x1", "fast"]}, "'fast' is no value to try; expected a number, or a multiple"),
        ({"learning_rate": ["x1", True]}, "True is no value to try"),
        ({"learning_rate": ["x1", math.nan]}, "nan is no value to try"),
        ({**RATES, "holdout": "2/3"}, "holdout='2/3': expected a share of at most 1/2"),
        ({**RATES, "holdout": "a fifth"}, "'a fifth': expected a share such as 1/2"),
        ({**RATES, "length": "3/2"}, "length='3/2': expected a share of at most 1/1"),
        ({**RATES, "seeds": []}, r"seeds=\[\]: expected a list of whole numbers"),
        ({**RATES, "seeds": [-1]}, r"seeds=\[-1\]"),
        ({"holdout": "1/5"}, "names no field to tune"),
        ({}, "expected fields with the values to try"),
        ("x1", "tune='x1': expected fields with the values to try"),
    ],
    ids=str,
)
def test_what_cannot_be_tried_is_named(value: Any, message: str) -> None:
    with pytest.raises(TuneError, match=message):
        Tune.of(value)


def test_a_study_s_file_that_cannot_be_tuned_is_refused() -> None:
    values = load_study("12_bits").model_dump(exclude={"profiles"})
    wrong = StudySpec(**values, profiles={"mini": {"tune": {"learning_rate": ["x1"]}}})
    with pytest.raises(StudyError, match=r"study 12_bits: tune: .*expected at least two values"):
        study_at(wrong, "mini")


def test_multiples_are_of_the_arm_s_own_value() -> None:
    assert grid_of(BINARY, Tune.of(RATES), ()) == [{"learning_rate": rate} for rate in (2e-4, 5e-4, 1e-3)]
    assert grid_of(BINARY, Tune.of({"learning_rate": [1e-4, "x1"]}), ()) == [
        {"learning_rate": 1e-4},
        {"learning_rate": 2e-4},
    ]


def test_several_fields_are_tried_in_every_combination() -> None:
    found = grid_of(BINARY, Tune.of({"learning_rate": ["x1", "x2"], "epochs": [3, "x1"]}), ())
    assert found == [{"learning_rate": rate, "epochs": epochs} for rate in (2e-4, 4e-4) for epochs in (3.0, 9.0)]


def test_a_student_that_ends_with_its_reduction_is_tuned_in_it() -> None:
    assert grid_of(SMALL, Tune.of(RATES), ()) == [{"learning_rate": rate} for rate in (2e-4, 5e-4, 1e-3)]
    reduced = [{"reduce_learning_rate": rate} for rate in (1e-4, 2.5e-4, 5e-4)]
    assert grid_of(SMALL_FULL, Tune.of(RATES), ()) == reduced
    assert grid_of(SMALL_FULL, Tune.of({"epochs": [3, "x1"]}), ()) == [{"reduce_epochs": 3.0}, {"reduce_epochs": 6.0}]
    both = Tune.of({**RATES, "reduce_learning_rate": ["x1", "x2"]})
    assert grid_of(SMALL_FULL, both, ()) == [{"reduce_learning_rate": rate} for rate in (1e-4, 2e-4)]


def test_what_an_arm_sets_or_does_not_use_is_not_tuned() -> None:
    assert grid_of(BINARY, Tune.of(RATES), {"learning_rate"}) == []
    assert grid_of(SMALL_FULL, Tune.of(RATES), {"reduce_learning_rate"}) == []
    assert grid_of(BINARY, Tune.of({"reduce_learning_rate": ["x1", "x2"]}), ()) == [], "there is no reduction"
    assert own_fields({"budget", "weight_bits"}) == {"epochs", "reduce_epochs", "weight_bits"}


def test_a_trial_is_the_recipe_with_rows_held_out() -> None:
    tune = Tune.of({**RATES, "length": "1/3"})
    trial = trial_of(SMALL, {"learning_rate": 5e-4}, tune, seed=3)
    changed = {"learning_rate": 5e-4, "epochs": 3, "reduce_epochs": 2, "seed": 3, "holdout": "1/5"}
    assert trial == Recipe.of(**{**SMALL.model_dump(), **changed})
    assert "-trial-" in trial.run_id


def test_the_teacher_of_a_trial_is_trained_without_the_rows_held_out() -> None:
    trial = trial_of(BINARY, {"learning_rate": BINARY.learning_rate}, Tune.of(RATES), seed=0)
    quarter = trial_of(BINARY, {"learning_rate": BINARY.learning_rate}, Tune.of({**RATES, "holdout": "1/4"}), seed=0)
    teachers = {chain(recipe)[0].address for recipe in (BINARY, trial, quarter)}
    assert len(teachers) == 3
    assert not {step.address for step in chain(BINARY)} & {step.address for step in chain(trial)}


def test_distance_is_in_factors() -> None:
    own = {"learning_rate": 2e-4, "warmup": 0.0}
    assert distance(own, own) == 0
    assert distance({"learning_rate": 4e-4}, own) == pytest.approx(distance({"learning_rate": 1e-4}, own))
    assert distance({"learning_rate": 4e-4}, own) == pytest.approx(math.log(2))
    assert distance({"warmup": 0.1}, own) == math.inf


def test_numbers_are_written_briefly() -> None:
    shown = {5e-4: "5e-4", 2.5e-4: "2.5e-4", 1e-3: "1e-3", 0.1: "0.1", 18.0: "18", 0.0: "0"}
    assert {value: number_text(value) for value in shown} == shown
    assert values_text({"reduce_learning_rate": 5e-4}) == "5e-4" and values_text({"epochs": 6.0}) == "epochs 6"
    assert values_text({"learning_rate": 5e-4, "epochs": 6.0}) == "epochs 6, learning_rate 5e-4"


def planned(study: str = "12_bits", profile: str = "mini", **chosen: Any) -> list[PlannedRun]:
    return plan(load_study(study), load_profile(profile), **chosen)


def test_trials_of_each_task_and_arm_by_hand() -> None:
    axes = {"weights": ["32-bit", "1-bit"], "activations": ["A8"]}
    runs = planned(tasks=["cola", "sst2"], seeds=[1, 2], axes=axes)
    arms = study_at(load_study("12_bits"), "mini", axes).arms
    tuned = tuned_arms(runs, arms, Tune.of({**RATES, "seeds": [0, 7]}))
    assert [(one.task, one.arm) for one in tuned] == [
        (task, arm) for task in ("cola", "sst2") for arm in ("32-bit, A8", "1-bit, A8")
    ]
    first = tuned[0]
    assert first.own == {"learning_rate": 5e-4}
    assert [point["learning_rate"] for point in first.grid] == [5e-4, 1.25e-3, 2.5e-3]
    assert [[trial.recipe.seed for trial in trials] for trials in first.trials] == [[0, 7]] * 3
    assert {trial.recipe.epochs for trials in first.trials for trial in trials} == {9}
    assert {trial.recipe.epochs for trials in tuned[2].trials for trial in trials} == {1}, "sst2 has budget B's one"
    every = [trial for one in tuned for trials in one.trials for trial in trials]
    assert len({trial.run_id for trial in every}) == len(every) == 2 * 2 * 3 * 2
    assert {trial.recipe.holdout for trial in every} == {"1/5"} and {trial.arm for trial in every} == {
        "32-bit, A8",
        "1-bit, A8",
    }


def test_a_study_of_rates_is_not_tuned_in_them() -> None:
    arms = study_at(load_study("13_learning_rate"), "mini").arms
    assert tuned_arms(planned("13_learning_rate"), arms, Tune.of(RATES)) == []


def test_arms_that_vary_the_budget_are_not_tuned_in_epochs() -> None:
    arms = study_at(load_study("11_budget"), "mini").arms
    tuned = tuned_arms(planned("11_budget"), arms, Tune.of({**RATES, "epochs": ["x1", "x2"]}))
    assert tuned and {tuple(one.own) for one in tuned} == {("learning_rate",)}


def test_a_tuned_run_is_the_run_of_the_study_of_rates() -> None:
    (run,) = planned(tasks=["cola"], seeds=[1], axes={"weights": ["1-bit"], "activations": ["A8"]})
    rates = planned("13_learning_rate", tasks=["cola"], seeds=[1])
    (other,) = [one for one in rates if one.arm == "1-bit, rate x2.5"]
    assert tuned_run(run, {"learning_rate": 1.25e-3}).run_id == other.run_id


def test_a_run_that_waits_has_no_other_run_s_folder() -> None:
    runs = planned(tasks=["cola"], seeds=[1])
    waiting = [waiting_run(run) for run in runs]
    assert len({run.run_id for run in waiting}) == len(runs)
    assert all(run.waits and run.recipe == before.recipe for run, before in zip(waiting, runs, strict=True))
    assert not {run.run_id for run in waiting} & {run.run_id for run in runs}


@pytest.mark.parametrize("study", ["10_stages", "11_budget", "12_bits", "15_layers", "18_xtc"])
def test_studies_are_tuned_at_mini_and_paper_and_not_at_smoke(study: str) -> None:
    mini = Tune.of({"learning_rate": ["x0.4", "x1", "x2", "x4"]})
    for profile, tuned in (("mini", mini), ("paper", Tune.of(RATES)), ("smoke", Tune())):
        spec = study_at(load_study(study), profile)
        assert chosen_tune(spec, load_profile(profile), None, {}) == tuned
        assert chosen_tune(spec, load_profile(profile), "none", {}) == Tune()
        runs = planned(study, profile)
        found = tuned_arms(runs, spec.arms, tuned)
        assert {one.arm for one in found} == (set(spec.arm_names) if tuned.values else set())


def test_what_the_user_chose_comes_first_then_the_study_then_the_profile() -> None:
    profile = load_profile("mini").model_copy(update={"tune": Tune.of({"epochs": [3, 9]})})
    spec = study_at(load_study("12_bits"), "mini")
    silent = spec.model_copy(update={"tune": None})
    off = spec.model_copy(update={"tune": Tune()})
    assert chosen_tune(spec, profile, {"warmup": [0, 0.1]}, {}).values == {"warmup": (0, 0.1)}
    assert list(chosen_tune(spec, profile, None, {}).values) == ["learning_rate"]
    assert list(chosen_tune(silent, profile, None, {}).values) == ["epochs"]
    assert chosen_tune(off, load_profile("mini"), None, {}) == Tune()


def test_what_is_set_is_not_tuned_and_what_is_both_is_refused() -> None:
    spec, profile = study_at(load_study("12_bits"), "mini"), load_profile("mini")
    tune = chosen_tune(spec, profile, None, {"learning_rate": 5e-4})
    assert tuned_arms(planned(overrides={"learning_rate": 5e-4}), spec.arms, tune, {"learning_rate": 5e-4}) == []
    with pytest.raises(StudyError, match="learning_rate: both set and tuned for every arm"):
        chosen_tune(spec, profile, RATES, {"learning_rate": 5e-4})
    with pytest.raises(StudyError, match="epochs: both set and tuned"):
        chosen_tune(spec, profile, {"epochs": [3, 9]}, {"budget": "A"})


def test_runs_of_a_study_cannot_be_made_trials() -> None:
    with pytest.raises(StudyError, match="holdout='1/5': makes every run of study 12_bits a trial"):
        planned(overrides={"holdout": "1/5"})
