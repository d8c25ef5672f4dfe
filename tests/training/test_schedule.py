"""Rates and lengths of each training of a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import get_scheduler

from xtc_study.chain import chain
from xtc_study.recipe import Recipe
from xtc_study.training.precision import Precision
from xtc_study.training.schedule import Schedule, arguments_of, schedule_of

CPU = Precision("cpu", "fp32")


def rates(folder: Path, steps: int, **fields: Any) -> list[float]:
    """The rate of each step, as a share of the peak, as the Trainer makes it from its arguments."""
    arguments = arguments_of(Schedule(steps, 16, 1.0, weight_decay=0.01, seed=0, **fields), CPU, folder)
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=arguments.learning_rate)
    scheduler = get_scheduler(
        arguments.lr_scheduler_type,
        optimiser,
        arguments.get_warmup_steps(steps),
        steps,
        arguments.lr_scheduler_kwargs,
    )
    taken = []
    for _ in range(steps):
        taken += scheduler.get_last_lr()
        optimiser.step()
        scheduler.step()
    return taken


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"warmup": 0.2, "warmdown": 0.3}, [0, 1 / 2, 1, 1, 1, 1, 1, 1, 2 / 3, 1 / 3]),
        ({"warmup": 0.0, "warmdown": 0.2}, [1, 1, 1, 1, 1, 1, 1, 1, 1, 1 / 2]),
        ({"warmup": 0.5, "warmdown": 0.5}, [0, 1 / 5, 2 / 5, 3 / 5, 4 / 5, 1, 4 / 5, 3 / 5, 2 / 5, 1 / 5]),
        ({"warmup": 0.2}, [0, 1 / 2, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8]),
    ],
    ids=["warm-up, flat, warm-down", "no warm-up", "nothing flat", "no warm-down"],
)
def test_rates_by_hand(fields: dict[str, float], expected: list[float], tmp_path: Path) -> None:
    assert rates(tmp_path, 10, **fields) == pytest.approx(expected)


@given(st.integers(1, 60), st.floats(0, 0.99), st.floats(0.01, 1))
def test_warm_up_and_warm_down_fit_into_every_length(steps: int, warmup: float, share: float) -> None:
    schedule = Schedule(steps, 16, 1.0, warmup, 0.01, 0, warmdown=share * (1 - warmup))
    assert schedule.warmdown_steps is not None
    assert schedule.warmup_steps + schedule.warmdown_steps <= steps
    assert abs(schedule.warmdown_steps - schedule.warmdown * steps) <= 1  # type: ignore[operator]


@pytest.mark.parametrize("warmup", [0.1, 0.2, 0.3])
def test_a_warm_down_over_all_the_rest_is_the_linear_schedule(warmup: float, tmp_path: Path) -> None:
    assert rates(tmp_path, 30, warmup=warmup, warmdown=1 - warmup) == pytest.approx(rates(tmp_path, 30, warmup=warmup))


BEYOND: dict[str, Any] = {
    "student_weight_decay": 0, "warmdown": 0.25, "optimizer": "muon", "muon_learning_rate": 1e-3, "averaging": 0.9,
    "progressive": 0.5,
}  # fmt: skip


def test_what_goes_beyond_xtc_is_the_students() -> None:
    recipe = Recipe.of(task="cola", layers=6, stages=2, **BEYOND)
    teacher, reduction, first, second = (schedule_of(step, recipe, 100) for step in chain(recipe))
    assert teacher == Schedule(300, 32, 2e-5, 0.1, 0.01, 0)
    assert reduction == Schedule(300, 32, 5e-5, 0.1, 0, 0, 0.25, 1e-3, 0.9)
    assert first == Schedule(150, 32, 2e-5, 0.1, 0, 0, 0.25, 1e-3, 0.9, 0.5)
    assert second == Schedule(150, 32, 2e-5, 0.1, 0, 0, 0.25, 1e-3, 0.9)


def test_students_without_it_train_as_before() -> None:
    recipe = Recipe.of(task="cola", layers=6, weight_decay=0.05)
    for step in chain(recipe):
        assert schedule_of(step, recipe, 100) == Schedule(300, 32, step.learning_rate, 0.1, 0.05, 0)
    plain = Recipe.of(task="cola", weight_bits=32, activation_bits=32, student_weight_decay=0.2, warmdown=0.3)
    assert schedule_of(chain(plain)[1], plain, 100) == Schedule(300, 32, 2e-5, 0.1, 0.2, 0, 0.3)


def test_decay_reaches_the_trainer(tmp_path: Path) -> None:
    assert arguments_of(Schedule(10, 16, 1.0, 0.1, 0.0, 0), CPU, tmp_path).weight_decay == 0
