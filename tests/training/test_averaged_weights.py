from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from xtc_study.training.averaged_weights import AveragedWeights


def model_with(value: float) -> torch.nn.Linear:
    model = torch.nn.Linear(1, 1, bias=False)
    model.register_buffer("range", torch.tensor(value))
    put(model, value)
    return model


def put(model: torch.nn.Linear, value: float) -> None:
    with torch.no_grad():
        model.weight.fill_(value)
        model.range.fill_(value)  # type: ignore[operator]


def after_step(averaged: AveragedWeights, model: torch.nn.Module, step: int, of: int) -> None:
    averaged.on_step_end(None, SimpleNamespace(global_step=step, max_steps=of), None, model=model)


def test_the_average_by_hand() -> None:
    """Weights 8, 4, 0 with a decay of 3/4: 8, then 8 * 3/4 + 4 / 4 = 7, then 7 * 3/4 + 0 = 5.25."""
    model, averaged = model_with(1.0), AveragedWeights(0.75)
    for step, (value, average) in enumerate([(8.0, 8.0), (4.0, 7.0), (0.0, 5.25)], 1):
        put(model, value)
        after_step(averaged, model, step, of=3)
        assert averaged.averages["weight"].item() == average
        assert model.weight.item() == (average if step == 3 else value), "raw weights train, the average ends"
    assert model.range.item() == 0, "buffers are the last ones"
    assert model.weight.requires_grad


def test_a_checkpoint_keeps_the_average(tmp_path: Path) -> None:
    model, averaged = model_with(0.0), AveragedWeights(0.75)
    for step, value in enumerate([8.0, 4.0], 1):
        put(model, value)
        after_step(averaged, model, step, of=3)
    averaged.save(tmp_path)
    again = AveragedWeights(0.75)
    again.load(tmp_path, model)
    put(model, 0.0)
    after_step(again, model, 3, of=3)
    assert model.weight.item() == 5.25


def test_averages_of_another_model_are_refused(tmp_path: Path) -> None:
    averaged = AveragedWeights(0.5)
    after_step(averaged, model_with(1.0), 1, of=2)
    averaged.save(tmp_path)
    with pytest.raises(KeyError, match="bias"):
        AveragedWeights(0.5).load(tmp_path, torch.nn.Linear(1, 1))
