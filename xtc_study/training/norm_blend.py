"""Blend the norms of low-bit linears' inputs in over the first steps of a training (``input_norm: rms``)."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers import TrainerCallback


def share_at(step: int, steps: int) -> float:
    """Return the share of the norm in the optimiser step after ``step`` others: it rises linearly from 0 to 1.

    It follows from the step alone, so that a resumed training has the same.

    Args:
        step: optimiser steps taken before.
        steps: steps over which the share rises.
    """
    return min(step / steps, 1.0) if steps else 1.0


class NormBlend(TrainerCallback):
    """Sets the share before each step.

    It is a number on the device that a captured step reads: a replay then takes the share of its own step. Between two
    steps, where the dev split is scored, it is the last step's.

    Args:
        share: () on the device, what ``compress.quantization.input_norm.blended`` yields.
        steps: steps over which the share rises.
    """

    def __init__(self, share: Tensor, steps: int) -> None:
        self.share, self.steps = share, steps

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.share.fill_(share_at(state.global_step, self.steps))
