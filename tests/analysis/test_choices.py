"""Which value is chosen: the best held-out score, and of equal ones the nearest to the arm's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fabricate import make_done_run

from xtc_study.analysis.choices import Choice, choose, diverged
from xtc_study.analysis.collect import collect
from xtc_study.arms import Arm
from xtc_study.recipe import Recipe
from xtc_study.runs.find import best_run, find_run
from xtc_study.studies import PlannedRun
from xtc_study.trials import TunedArm, tuned_arms
from xtc_study.tuning import Tune, Values

OWN = Recipe.of(task="toy-sentiment", learning_rate=2e-4)
RUN = PlannedRun("bits", OWN.run_id, "1-bit", OWN)
RATES = (1e-4, 2e-4, 4e-4)


def tuned(values: dict[str, list[float | str]], seeds: tuple[int, ...] = (0,)) -> TunedArm:
    (one,) = tuned_arms([RUN], [Arm(name="1-bit")], Tune.of({**values, "seeds": list(seeds)}))
    return one


def scored(runs: Path, arm: TunedArm, scores: dict[float, list[float]], metric: str = "accuracy") -> Choice:
    """Write a done trial for each score, and choose. Values are those of the first tuned field."""
    for point, trials in zip(arm.grid, arm.trials, strict=True):
        for trial, score in zip(trials, scores[next(iter(point.values()))], strict=False):
            folder = make_done_run(runs, trial)
            metrics = json.loads((folder / "metrics.json").read_text())
            metrics["rows"] = [{"split": "held-out", "metric": metric, "value": score, "n_examples": 40}]
            (folder / "metrics.json").write_text(json.dumps(metrics))
    return choose(arm, runs)


@pytest.mark.parametrize(
    ("scores", "chosen", "text"),
    [
        ({1e-4: [0.7], 2e-4: [0.8], 4e-4: [0.75]}, 2e-4, "2e-4"),
        ({1e-4: [0.7], 2e-4: [0.8], 4e-4: [0.81]}, 4e-4, "4e-4, the largest tried"),
        ({1e-4: [0.9], 2e-4: [0.8], 4e-4: [0.81]}, 1e-4, "1e-4, the smallest tried"),
        ({1e-4: [0.8], 2e-4: [0.8], 4e-4: [0.8]}, 2e-4, "2e-4"),
        ({1e-4: [0.8], 2e-4: [0.7], 4e-4: [0.8]}, 1e-4, "1e-4, the smallest tried"),
    ],
    ids=["best", "largest", "smallest", "equal: own", "equal and as far: smaller"],
)
def test_the_best_is_chosen(scores: dict[float, list[float]], chosen: float, text: str, tmp_path: Path) -> None:
    choice = scored(tmp_path, tuned({"learning_rate": list(RATES)}), scores)
    assert choice.chosen == {"learning_rate": chosen} and choice.text == text
    assert choice.scores == tuple(scores[rate][0] for rate in RATES) and choice.metric == "accuracy"


def test_of_equal_ones_the_nearest_is_chosen_by_factor(tmp_path: Path) -> None:
    """x5 is farther from x1 than x0.4, though by difference it is the other way round for x1.5."""
    arm = tuned({"learning_rate": ["x0.4", "x1.5", "x1"]})
    choice = scored(tmp_path, arm, {8e-5: [0.9], 3e-4: [0.9], 2e-4: [0.5]})
    assert choice.chosen == {"learning_rate": 3e-4}


def test_the_mean_over_seeds_decides(tmp_path: Path) -> None:
    arm = tuned({"learning_rate": list(RATES)}, seeds=(0, 1))
    choice = scored(tmp_path, arm, {1e-4: [0.9, 0.5], 2e-4: [0.8, 0.7], 4e-4: [0.6, 0.6]})
    assert choice.chosen == {"learning_rate": 2e-4} and choice.scores == pytest.approx((0.7, 0.75, 0.6))


def test_of_an_error_the_smallest_is_best(tmp_path: Path) -> None:
    choice = scored(tmp_path, tuned({"learning_rate": list(RATES)}), {1e-4: [3], 2e-4: [2], 4e-4: [5]}, "mae")
    assert choice.chosen == {"learning_rate": 2e-4}


def test_nothing_is_chosen_until_every_trial_is_done(tmp_path: Path) -> None:
    arm = tuned({"learning_rate": list(RATES)}, seeds=(0, 1))
    choice = scored(tmp_path, arm, {1e-4: [0.9, 0.9], 2e-4: [0.8], 4e-4: [0.7, 0.7]})
    assert choice.chosen is None and choice.text == "to be chosen" and not choice.edges
    assert choice.scores == (0.9, None, 0.7)
    assert choose(arm, tmp_path / "none").scores == (None, None, None)


def fail(runs: Path, trial: PlannedRun, error: str) -> None:
    (runs / trial.run_id).mkdir(parents=True)
    (runs / trial.run_id / "error.json").write_text(json.dumps({"type": error, "message": "the loss is nan"}))


def test_a_value_that_diverges_is_not_chosen_and_holds_nothing_up(tmp_path: Path) -> None:
    arm = tuned({"learning_rate": list(RATES)})
    scored(tmp_path, arm, {1e-4: [0.6], 2e-4: [0.7], 4e-4: []})
    fail(tmp_path, arm.trials[-1][0], "FloatingPointError")
    choice = choose(arm, tmp_path)
    assert choice.chosen == {"learning_rate": 2e-4} and choice.diverged == (False, False, True)
    assert choice.scores == (0.6, 0.7, None) and diverged(tmp_path, arm.trials[-1][0])


def test_a_trial_that_failed_for_another_reason_holds_the_choice_up(tmp_path: Path) -> None:
    arm = tuned({"learning_rate": list(RATES)})
    scored(tmp_path, arm, {1e-4: [0.6], 2e-4: [0.7], 4e-4: []})
    fail(tmp_path, arm.trials[-1][0], "OSError")
    choice = choose(arm, tmp_path)
    assert choice.chosen is None and choice.text == "to be chosen" and not any(choice.diverged)


def test_where_every_value_diverges_nothing_is_chosen(tmp_path: Path) -> None:
    arm = tuned({"learning_rate": list(RATES)})
    for (trial,) in arm.trials:
        fail(tmp_path, trial, "FloatingPointError")
    choice = choose(arm, tmp_path)
    assert choice.chosen is None and choice.text == "none: every value diverged"


def test_each_of_several_fields_has_its_edge(tmp_path: Path) -> None:
    arm = tuned({"learning_rate": ["x1", "x2"], "epochs": [3, 6, 9]})
    points: dict[tuple[float, float], float] = {(4e-4, 6.0): 0.9}
    for point, (trial,) in zip(arm.grid, arm.trials, strict=True):
        folder = make_done_run(tmp_path, trial)
        value = points.get((point["learning_rate"], point["epochs"]), 0.5)
        row = {"split": "held-out", "metric": "accuracy", "value": value, "n_examples": 40}
        metrics = json.loads((folder / "metrics.json").read_text())
        (folder / "metrics.json").write_text(json.dumps({**metrics, "rows": [row]}))
    choice = choose(arm, tmp_path)
    expected: Values = {"learning_rate": 4e-4, "epochs": 6.0}
    assert choice.chosen == expected and choice.edges == {"learning_rate": "largest"}
    assert choice.text == "epochs 6, learning_rate 4e-4 (learning_rate is the largest tried)"


def test_no_table_counts_a_trial_and_none_is_exported(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    arm = tuned({"learning_rate": list(RATES)})
    scored(runs, arm, {1e-4: [0.99], 2e-4: [0.98], 4e-4: [0.97]})
    make_done_run(runs, RUN, 0.6)
    trials = [trial for of_point in arm.trials for trial in of_point]
    assert set(collect(runs, [RUN, *trials])["run_id"]) == {RUN.run_id}
    only = collect(runs, [RUN, *trials], trials=True)
    assert list(only["holdout"]) == ["1/5"] * 3 and set(only["split"]) == {"held-out"}
    for run in (RUN, *trials):
        (runs / run.run_id / "params.json").write_text(json.dumps({"recipe": run.recipe.model_dump(mode="json")}))
        (runs / run.run_id / "model").mkdir()
        (runs / run.run_id / "model" / "model.safetensors").write_bytes(b"weights")
    assert best_run(tmp_path).run.path.name == RUN.run_id
    assert find_run(tmp_path, trials[0].run_id).recipe.holdout == "1/5"
