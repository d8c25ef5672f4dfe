"""What sharing steps saves, with training times written by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xtc_study.recipe import Recipe
from xtc_study.runs.account import account
from xtc_study.runs.steps import StepStore
from xtc_study.training.steps import Step, chain

ONE_BIT, TWO_BIT = (Recipe.of(task="cola", layers=6, weight_bits=bits, teacher_epochs=2, epochs=4) for bits in (1, 2))


def trained(root: Path, step: Step, seconds: float) -> None:
    folder = root / step.address
    folder.mkdir(parents=True)
    record = {"phase": step.phase, "task": step.task, "epochs": step.epochs / step.part[1], "seconds": seconds}
    (folder / "step.json").write_text(json.dumps(record))


def test_nothing_is_known_before_anything_was_trained(tmp_path: Path) -> None:
    costs = account([ONE_BIT, TWO_BIT], StepStore(tmp_path))
    assert (costs.steps_alone, costs.steps_shared, costs.steps_to_do) == (6, 4, 4)
    assert costs.seconds_alone is costs.seconds_shared is costs.seconds_to_do is costs.share is None


def test_two_arms_share_teacher_and_reduction(tmp_path: Path) -> None:
    teacher, reduction, low_bit = chain(ONE_BIT)
    trained(tmp_path, teacher, 10.0)
    trained(tmp_path, reduction, 20.0)
    trained(tmp_path, low_bit, 30.0)
    costs = account([ONE_BIT, TWO_BIT], StepStore(tmp_path))
    assert costs.steps_to_do == 1
    assert costs.seconds_alone == 120.0 and costs.seconds_shared == 90.0 and costs.seconds_to_do == 30.0
    assert costs.share == pytest.approx(0.75)


def test_an_estimate_goes_by_the_epochs_and_by_the_task_where_it_is_known(tmp_path: Path) -> None:
    (teacher, *_) = chain(Recipe.of(task="cola", teacher_epochs=2, seed=5))
    trained(tmp_path, teacher, 10.0)  # 5 s an epoch
    longer = Recipe.of(task="cola", teacher_epochs=3, weight_bits=1, epochs=2)
    other = Recipe.of(task="rte", teacher_epochs=3, epochs=2)
    trained(tmp_path, chain(Recipe.of(task="cola", stages=1, seed=6, epochs=1))[-1], 7.0)  # 7 s an epoch
    assert account([longer], StepStore(tmp_path)).seconds_to_do == pytest.approx(3 * 5 + 2 * 7)
    assert account([other], StepStore(tmp_path)).seconds_to_do == pytest.approx(3 * 5 + 2 * 7)
    trained(tmp_path, chain(Recipe.of(task="rte", teacher_epochs=1, seed=9))[0], 50.0)
    assert account([other], StepStore(tmp_path)).seconds_to_do == pytest.approx(3 * 50 + 2 * 7)


def test_stages_share_their_phases_length(tmp_path: Path) -> None:
    trained(tmp_path, chain(Recipe.of(task="cola", teacher_epochs=1, seed=5))[0], 1.0)
    trained(tmp_path, chain(Recipe.of(task="cola", epochs=1, seed=5))[-1], 6.0)
    three = Recipe.of(task="cola", teacher_epochs=1, epochs=1, stages=3)
    assert account([three], StepStore(tmp_path)).seconds_to_do == pytest.approx(1 + 6)


def test_damaged_records_are_left_out(tmp_path: Path) -> None:
    for name, text in (("a", "{"), ("b", "[]"), ("c", '{"seconds": "x"}'), ("d", '{"seconds": 1, "epochs": 0}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "step.json").write_text(text)
    assert account([ONE_BIT], StepStore(tmp_path)).seconds_to_do is None
