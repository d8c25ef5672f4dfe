"""What sharing steps saves, with training times written by hand."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from xtc_study.chain import Step, chain
from xtc_study.recipe import Recipe
from xtc_study.runs.cost import cost
from xtc_study.runs.step_store import StepStore
from xtc_study.runs.step_times import KINDS, StepTime, StepTimes

ONE_BIT, TWO_BIT = (Recipe.of(task="cola", layers=6, weight_bits=bits, teacher_epochs=2, epochs=4) for bits in (1, 2))


def trained(root: Path, step: Step, seconds: float, device: str = "cpu", depth: int | None = None) -> Path:
    """A step as ``Pipeline`` records it; without ``depth`` as earlier versions did."""
    record: dict[str, Any] = {
        "phase": step.phase,
        "task": step.task,
        "terms": step.terms,
        "epochs": step.epochs / step.part[1],
        "params": step.params,
        "parent": step.parent.address if step.parent else None,
        "seconds": seconds,
        "device": device,
    }
    if depth is not None:
        record["size"] = {"model": chain_root(step).params["model"], "encoder_depth": depth, "rows": 8551}
    folder = root / step.address
    folder.mkdir(parents=True)
    (folder / "step.json").write_text(json.dumps(record))
    return folder / "step.json"


def chain_root(step: Step) -> Step:
    return step if step.parent is None else chain_root(step.parent)


def whole(root: Path, recipe: Recipe, *seconds: float, **fields: Any) -> None:
    """Every step of a recipe's chain."""
    for step, time in zip(chain(recipe), seconds, strict=True):
        trained(root, step, time, **fields)


def to_do(root: Path, *recipes: Recipe, **known: Any) -> float | None:
    return cost(recipes, StepStore(root), **known).seconds_to_do


def times(model: str, seconds: float) -> StepTimes:
    """Each kind of step takes as long, at any length."""
    points = [StepTime(kind=kind, length=length, seconds=seconds) for kind in KINDS for length in (32, 128)]
    return StepTimes(model=model, depth=12, batch_size=32, device="a CPU", precision="fp32", points=points)


def test_nothing_is_known_before_anything_was_trained(tmp_path: Path) -> None:
    costs = cost([ONE_BIT, TWO_BIT], StepStore(tmp_path))
    assert (costs.steps_alone, costs.steps_shared, costs.steps_to_do) == (6, 4, 4)
    assert costs.seconds_alone is costs.seconds_shared is costs.seconds_to_do is costs.share is None


def test_two_arms_share_teacher_and_reduction(tmp_path: Path) -> None:
    whole(tmp_path, ONE_BIT, 10.0, 20.0, 30.0)
    costs = cost([ONE_BIT, TWO_BIT], StepStore(tmp_path))
    assert costs.steps_to_do == 1
    assert costs.seconds_alone == 120.0 and costs.seconds_shared == 90.0 and costs.seconds_to_do == 30.0
    assert costs.share == pytest.approx(0.75) and not costs.measured


def test_estimate_scales_with_epochs_and_task_rows(tmp_path: Path) -> None:
    whole(tmp_path, Recipe.of(task="cola", teacher_epochs=2, epochs=1, seed=5), 10.0, 7.0)  # 5 and 7 s an epoch
    assert to_do(tmp_path, Recipe.of(task="cola", teacher_epochs=3, weight_bits=2, epochs=2)) == pytest.approx(29)
    # SST-2 has 67,349 rows of 17 tokens, CoLA 8,551 of 13.
    other, ratio = Recipe.of(task="sst2", teacher_epochs=3, epochs=2), 67_349 / 8_551 * 17 / 13
    assert to_do(tmp_path, other) == pytest.approx(29 * ratio)
    trained(tmp_path, chain(Recipe.of(task="sst2", teacher_epochs=1, seed=9))[0], 50.0)
    assert to_do(tmp_path, other) == pytest.approx(3 * 50 + 2 * 7 * ratio)


def test_stages_share_their_phases_length(tmp_path: Path) -> None:
    whole(tmp_path, Recipe.of(task="cola", teacher_epochs=1, epochs=1, seed=5), 1.0, 6.0)
    assert to_do(tmp_path, Recipe.of(task="cola", teacher_epochs=1, epochs=1, stages=3)) == pytest.approx(1 + 6)


def test_another_model_s_steps_say_nothing(tmp_path: Path) -> None:
    whole(tmp_path, Recipe.of(task="cola"), 5.0, 7.0)
    large = Recipe.of(task="cola", model="large")
    assert to_do(tmp_path, large) is None
    assert to_do(tmp_path, large, times={"other": times("other", 1.0)}) is None
    assert to_do(tmp_path, large, times={"large": times("large", 1.0)}) == pytest.approx(3 * 268 * 2)


@pytest.mark.parametrize(("first", "then", "expected"), [("cpu", "cuda", 4.0), ("cuda", "cpu", 40.0)])
def test_devices_are_not_mixed(first: str, then: str, expected: float, tmp_path: Path) -> None:
    """A teacher of 3 epochs takes 30 s on the CPU and 3 s on the GPU; the one sought has 4."""
    for place, device in enumerate((first, then)):
        (step, *_) = chain(Recipe.of(task="cola", seed=place))
        path = trained(tmp_path, step, 30.0 if device == "cpu" else 3.0, device)
        os.utime(path, (place, place))
    teacher = Recipe.of(task="cola", teacher_epochs=4, epochs=1, seed=7)
    for place in (0, 1):
        whole_one = Recipe.of(task="cola", seed=place, epochs=1)
        trained(tmp_path, chain(whole_one)[1], 0.5, (first, then)[place])
    os.utime(path, (2e9, 2e9))
    assert to_do(tmp_path, teacher) == pytest.approx(expected + 0.5)
    for device, seconds in (("cpu", 40.0), ("cuda", 4.0)):
        assert to_do(tmp_path, teacher, device=device) == pytest.approx(seconds + 0.5)
    assert to_do(tmp_path, teacher, device="mps") is None


def test_a_shallow_student_is_scaled_by_the_passes_it_takes(tmp_path: Path) -> None:
    """A teacher of 12 layers that is asked (12) and a student of 12 (3 x 12) are 48 passes; one of 3 is 12 + 9."""
    whole(tmp_path, Recipe.of(task="cola", epochs=1, teacher_epochs=1), 36.0, 48.0, depth=12)
    # A reduction is another kind of step, so the reduction of this one would not be known.
    together = {"order": "together", "epochs": 1, "teacher_epochs": 1}
    assert to_do(tmp_path, Recipe.of(task="cola", layers=3, **together)) == pytest.approx(21)
    assert to_do(tmp_path, Recipe.of(task="cola", layers="1/4", **together)) == pytest.approx(21)
    assert to_do(tmp_path, Recipe.of(task="cola", layers=3)) is None
    half = Recipe.of(task="cola", teacher_layers=6, layers=3, **together)
    assert to_do(tmp_path, half) == pytest.approx(18 + 6 + 9)


def test_a_depth_that_is_not_known_is_only_compared_with_the_same(tmp_path: Path) -> None:
    whole(tmp_path, Recipe.of(task="cola", layers=6, epochs=1), 10.0, 5.0, 5.0)
    assert to_do(tmp_path, Recipe.of(task="cola", layers=6, epochs=2)) == pytest.approx(10.0)
    assert to_do(tmp_path, Recipe.of(task="cola", layers=3, epochs=2)) is None


def test_estimate_scales_with_length_up_to_a_factor_of_two(tmp_path: Path) -> None:
    """CoLA's rows have 13 tokens: 8 and 12 cut them. MRPC's have 58."""
    whole(tmp_path, Recipe.of(task="cola", max_length=8), 3.0, 3.0)
    assert to_do(tmp_path, Recipe.of(task="cola", max_length=12)) == pytest.approx(9.0)
    assert to_do(tmp_path, Recipe.of(task="mrpc", max_length=58)) is None
    assert to_do(tmp_path, Recipe.of(task="cola", batch_size=128)) is None


def test_a_measurement_wins_over_a_step_of_another_task(tmp_path: Path) -> None:
    whole(tmp_path, Recipe.of(task="cola", model="m"), 3.0, 3.0)
    measured = {"m": times("m", 1.0)}
    assert to_do(tmp_path, Recipe.of(task="cola", model="m", seed=1), times=measured) == pytest.approx(6.0)
    # 67,349 rows are 2,105 steps of 32; 3 epochs; teacher 1 s, student 1 s.
    assert to_do(tmp_path, Recipe.of(task="sst2", model="m"), times=measured) == pytest.approx(2105 * 3 * 2)
    assert to_do(tmp_path, Recipe.of(task="sst2", model="m")) == pytest.approx(6 * 67_349 / 8_551 * 17 / 13)


def test_a_teacher_that_is_used_as_it_is_costs_nothing(tmp_path: Path) -> None:
    whole(tmp_path, Recipe.of(task="cola", epochs=1), 3.0, 5.0)
    assert to_do(tmp_path, Recipe.of(task="cola", teacher_epochs=0, epochs=1)) == pytest.approx(5.0)


def test_damaged_records_are_left_out(tmp_path: Path) -> None:
    for name, text in (
        *(("a", "{"), ("b", "[]"), ("c", '{"seconds": "x"}'), ("d", '{"seconds": 1, "epochs": 0}')),
        ("e", '{"seconds": 1.5, "phase": "reduce", "parent": "gone", "epochs": 1, "size": 3}'),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "step.json").write_text(text)
    assert cost([ONE_BIT], StepStore(tmp_path)).seconds_to_do is None
