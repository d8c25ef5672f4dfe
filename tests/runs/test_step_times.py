from __future__ import annotations

from pathlib import Path

import pytest

from xtc_study.chain import chain
from xtc_study.recipe import Recipe
from xtc_study.runs.cost import cost
from xtc_study.runs.step_store import StepStore
from xtc_study.runs.step_times import KINDS, StepTime, StepTimes, read_step_times, step_times_file, write_step_times
from xtc_study.runs.training_work import rows_trained_on, work_of_step

SECONDS = {"forward": (1.0, 4.0), "teacher": (3.0, 12.0), "distil": (4.0, 16.0), "quantise": (5.0, 20.0)}
"""At 32 and 128 tokens a row of a batch of 32: all in proportion to length."""


def times(depth: int = 12) -> StepTimes:
    points = [
        StepTime(kind=kind, length=length, seconds=seconds)
        for kind in KINDS
        for length, seconds in zip((32, 128), SECONDS[kind], strict=True)
    ]
    return StepTimes(model="m/x", depth=depth, batch_size=32, device="a CPU", precision="fp32", points=points)


def seconds_of(**fields: object) -> list[float | None]:
    recipe = Recipe.of(task="rte", model="m/x", max_length=64, teacher_epochs=1, epochs=1, reduce_epochs=1, **fields)
    return [times().seconds(step) for step in chain(recipe)]


def test_by_hand() -> None:
    """RTE: 2,490 rows are 78 steps of 32; its rows are cut at 64 tokens, twice the shortest measured."""
    assert seconds_of() == pytest.approx([78 * 6, 78 * 10])
    assert seconds_of(weight_bits=32, activation_bits=32) == pytest.approx([78 * 6, 78 * 8])
    assert seconds_of(stages=0) == pytest.approx([78 * 6, 78 * 8]), "on labels alone no teacher is asked"
    assert seconds_of(batch_size=16) == pytest.approx([156 * 3, 156 * 5]), "half the tokens, twice the steps"


def test_a_shallow_student_costs_its_share_but_the_teacher_all() -> None:
    """Half of the layers: the teacher's pass of 2 s is whole, the student's 6 or 8 s are halved."""
    assert seconds_of(layers="1/2") == pytest.approx([78 * 6, 78 * (2 + 3), 78 * (2 + 4)])
    assert seconds_of(layers=6) == seconds_of(layers=[0, 2, 4, 6, 8, 10]) == pytest.approx(seconds_of(layers="1/2"))
    assert seconds_of(ffn="1/4") == pytest.approx(seconds_of(layers="1/2")), "three quarters of two thirds are a half"


def test_a_shallow_teacher_costs_its_share_and_its_students_theirs_of_it() -> None:
    assert seconds_of(teacher_layers="1/2") == pytest.approx([78 * 3, 78 * 5])
    assert seconds_of(teacher_layers="1/2", layers="1/2") == pytest.approx([78 * 3, 78 * (1 + 1.5), 78 * (1 + 2)])
    assert seconds_of(teacher_layers=6, layers=3) == pytest.approx(seconds_of(teacher_layers="1/2", layers="1/2"))


def test_a_trial_trains_on_fewer_rows() -> None:
    """A fifth of RTE's 2,490 rows is held out: 1,992 are 63 steps of 32."""
    assert seconds_of(holdout="1/5") == pytest.approx([63 * 6, 63 * 10])
    assert rows_trained_on(None, {"holdout": "1/5"}) is None and rows_trained_on(10, {}) == 10
    whole, trial = (
        work_of_step(chain(Recipe.of(task="rte", model="m/x", epochs=1, **fields))[-1], {})
        for fields in ({}, {"holdout": "1/5"})
    )
    assert (whole.rows, trial.rows) == (2490, 1992) and trial.times(whole) == pytest.approx(0.8)


def test_measurement_is_kept_by_model_and_a_damaged_one_is_ignored(tmp_path: Path) -> None:
    assert read_step_times(tmp_path, "m/x") is None
    path = write_step_times(tmp_path, times())
    assert read_step_times(tmp_path, "m/x") == times() and read_step_times(tmp_path, "other") is None
    assert path.parent == step_times_file(tmp_path, "../../m").parent == tmp_path
    path.write_text(path.read_text()[:50])
    assert read_step_times(tmp_path, "m/x") is None
    write_step_times(tmp_path, times().model_copy(update={"points": times().points[:2]}))
    assert read_step_times(tmp_path, "m/x") is None, "not every kind was measured"


def test_cost_together_estimates_untrained_steps(tmp_path: Path) -> None:
    recipes = [
        Recipe.of(task="rte", model="m/x", max_length=64, teacher_epochs=1, epochs=1, weight_bits=bits)
        for bits in (1, 2)
    ]
    assert cost(recipes, StepStore(tmp_path)).seconds_to_do is None
    costs = cost(recipes, StepStore(tmp_path), {"m/x": times()})
    assert costs.seconds_alone == pytest.approx(78 * (6 + 10) * 2)
    assert costs.seconds_to_do == costs.seconds_shared == pytest.approx(78 * (6 + 10 + 10))
    assert costs.share == pytest.approx(26 / 32)
