"""Teacher intervention: in the first steps of a training the teacher's attention stands in the student's place.

Source: Kim et al., "Teacher Intervention: Improving Convergence of Quantization Aware Training for Ultra-Low Precision
Transformers" (EACL 2023, arXiv 2302.11812). For the first half of these steps the student's attention maps are the
teacher's; for the second half its attention's outputs are a blend, in which the teacher's share falls from 1 to 0.
Values and all that follows are the student's, and learn. So does the attention that stands aside: losses compare the
student's own scores, maps, queries and keys all the while.

Their code (MarsJacobs/ti-kd-qat, main.py) goes the other way, in a first training of 60 or 120 steps: first the output
after its projection, then that before it, then the map; map first is its option "inverted". It also stops the gradient
between a layer's queries and keys and the layers below; here it flows. The linear blend is ours.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

MAP, OUTPUT = "map", "output"
MODES = (MAP, OUTPUT)
"""What the teacher stands in for, in this order."""


class Standing(NamedTuple):
    """What the teacher stands in for at one step."""

    mode: str
    share: Tensor
    """The teacher's part of the outputs, a scalar on the training device; without effect on maps."""


def intervention_steps(part: float, steps: int) -> int:
    """Return how many of a training's first steps the share ``part`` is."""
    return round(part * steps)


class Intervention:
    """The steps of a training in which the teacher intervenes; what happens at one follows from its number alone.

    Args:
        part: first share of the steps, 0 to 1.
        steps: length of the training.
        device: the training device.
    """

    def __init__(self, part: float, steps: int, device: str) -> None:
        self.steps = intervention_steps(part, steps)
        self.maps = self.steps // 2
        self._share = torch.ones((), device=device)

    def at(self, step: int) -> Standing | None:
        """Return what the teacher stands in for at a step (from 0); None: it does not.

        The share lies in one tensor, which a captured graph reads: this writes to it.
        """
        if step >= self.steps:
            return None
        if step < self.maps:
            return Standing(MAP, self._share)
        self._share.fill_(self.share(step))
        return Standing(OUTPUT, self._share)

    def share(self, step: int) -> float:
        """Return the teacher's share at a step of the second half: 1 at its first, 0 at the step after its last."""
        return (self.steps - step) / (self.steps - self.maps)
