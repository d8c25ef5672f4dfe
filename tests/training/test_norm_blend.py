"""How norms of inputs are blended in: the share of each step, and that an interrupted training resumes with it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from xtc_study.chain import chain
from xtc_study.compress.quantization.input_norm import input_norms
from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.recipe import Recipe
from xtc_study.tasks.batches import Padding, tokenize
from xtc_study.tasks.catalogue import find_task, load_task
from xtc_study.tasks.generated.vocabulary import toy_tokenizer
from xtc_study.training import checkpoints, stage
from xtc_study.training.norm_blend import share_at
from xtc_study.training.objective import Objective
from xtc_study.training.precision import Precision
from xtc_study.training.pretrained import load_encoder
from xtc_study.training.schedule import Schedule, schedule_of
from xtc_study.training.stage import train

TASK = find_task("toy-sentiment")
PADDING = Padding(toy_tokenizer(), TASK)
CPU = Precision("cpu", "fp32")


def test_the_share_rises_linearly_from_0_to_1() -> None:
    assert [share_at(step, 4) for step in range(7)] == [0, 0.25, 0.5, 0.75, 1, 1, 1]
    assert share_at(0, 0) == 1


@pytest.mark.parametrize(
    ("fields", "steps"),
    [
        ({}, [0, 0]),
        ({"input_norm": "rms"}, [0, 5]),
        ({"input_norm": "rms", "warmup": 0}, [0, 0]),
        ({"input_norm": "rms", "stages": 2}, [0, 2, 0]),
        ({"input_norm": "rms", "layers": 2}, [0, 0, 5]),
    ],
    ids=str,
)
def test_the_share_rises_over_the_warm_up_of_the_first_low_bit_stage(fields: dict[str, Any], steps: list[int]) -> None:
    recipe = Recipe.of(task="cola", warmup=fields.pop("warmup", 0.17), **fields)
    assert [schedule_of(step, recipe, 10).norm_steps for step in chain(recipe)] == steps


def student() -> Any:
    model = load_encoder("builtin:tiny", TASK, 0)
    make_low_bit(model, Recipe.of(task=TASK.name, input_norm="rms"))
    return model


@cache
def rows() -> Any:
    return tokenize(load_task(TASK.name)["train"].select(range(48)), TASK, toy_tokenizer(), 32)


def fit(model: Any, folder: Path, evaluate: Callable[[Any], float]) -> Any:
    schedule = Schedule(6, 16, 1e-3, warmup=0.0, weight_decay=0.01, seed=0, norm_steps=4)
    torch.manual_seed(0)
    return train(model, rows(), PADDING, Objective(("labels",)), schedule, CPU, folder, evaluate).curve


def test_a_resumed_training_has_the_same_shares_and_the_same_student(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "STEPS_BETWEEN_EVALUATIONS", 1)  # a score after steps 2, 3, 4, 5 and 6
    seen: list[float] = []

    def share(model: Any) -> float:
        (norm,) = input_norms(model)
        seen.append(1.0 if norm.share is None else norm.share.item())
        return seen[-1]

    whole = student()
    curve = fit(whole, tmp_path / "whole", share)
    assert seen == [0.25, 0.5, 0.75, 1, 1], "that of the last step"
    assert input_norms(whole)[0].share is None, "the whole norm, once the training has ended"

    monkeypatch.setattr(checkpoints, "CHECKPOINT_SECONDS", 0.0)

    def cut_off(model: Any) -> float:
        if share(model) == 0.5:
            raise KeyboardInterrupt
        return seen[-1]

    with pytest.raises(KeyboardInterrupt):
        fit(student(), tmp_path / "cut", cut_off)
    resumed = student()
    assert fit(resumed, tmp_path / "cut", share) == curve
    assert all(torch.equal(tensor, whole.state_dict()[name]) for name, tensor in resumed.state_dict().items())
