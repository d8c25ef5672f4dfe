"""The exponential average of a student's weights, which ends a training in place of the last weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import TrainerCallback

AVERAGES = "averages.safetensors"
"""File of a checkpoint with the averages, under the names of the parameters."""


class AveragedWeights(TrainerCallback):
    """Average the parameters after each step, and put the averages into the model after the last one.

    After the first step an average is the parameter itself; after each further one it becomes ``decay * average +
    (1 - decay) * parameter``, the exponential form of Polyak and Juditsky's average (1992). Gradients are always
    those of the raw weights. Buffers, the fixed ranges of inputs, are not averaged. Dev scores are those of the raw
    weights, except for the last: a callback that scores after this one scores the averages, which are the result.

    Args:
        decay: 0 < decay < 1.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.averages: dict[str, Tensor] = {}
        """By name of the parameter; empty before the first step."""

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        parameters = _parameters(model)
        if self.averages:
            torch._foreach_lerp_(list(self.averages.values()), list(parameters.values()), 1 - self.decay)
        else:
            self.averages = {name: parameter.clone() for name, parameter in parameters.items()}
        if state.global_step == state.max_steps:
            torch._foreach_copy_(list(parameters.values()), list(self.averages.values()))

    def save(self, checkpoint: Path) -> None:
        """Write the averages into a checkpoint's folder."""
        save_file({name: average.contiguous() for name, average in self.averages.items()}, checkpoint / AVERAGES)

    def load(self, checkpoint: Path, model: nn.Module) -> None:
        """Read the averages of ``save``, to the devices of the model's parameters.

        Raises:
            OSError, SafetensorError, KeyError: the file is missing or damaged, or not this model's.
        """
        saved = load_file(checkpoint / AVERAGES)
        self.averages = {name: saved[name].to(parameter.device) for name, parameter in _parameters(model).items()}


def _parameters(model: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach() for name, parameter in model.named_parameters()}
