"""A progressive start: weights have 32 bits first, then 2, then their own.

Sources: BinaryBERT (Bai et al. 2021, arXiv 2012.15701) starts a binary student from a ternary one of half its width,
whose weights it splits; ternlight (2026, github.com/soycaporal/ternlight) trains the first tenth of its epochs in full
precision. Here both are the first steps of one training, which keeps its latent weights and its optimiser's state, so
a student takes as many steps as without them.
"""

from __future__ import annotations

from typing import Any

from xtc_study.compress.quantization.freeze import Freezable
from xtc_study.compress.quantization.learned_scale import restart_scale
from xtc_study.compress.quantization.quantizers import WeightFormat
from xtc_study.recipe_xtc import FULL_PRECISION

TERNARY = 2


def progressive_steps(share: float, steps: int) -> tuple[int, int]:
    """Return how many steps weights have 32 bits, and how many they have 2: together the share, halved.

    At least the last step is left to the weights' own bits.

    Args:
        share: first share of the steps, 0 <= share < 1.
        steps: optimiser steps of the training.
    """
    more = min(round(share * steps), steps - 1)
    return more - more // 2, more // 2


class ProgressiveBits:
    """Change the bits of a student's weights in training, step by step.

    All low-bit weights follow: linears, word table and, if they are low-bit, the other tables. Weights of 2 or more
    bits of their own have them from the end of the 32-bit steps on. Inputs keep their bits. Learned scales start from
    the weights of the first step at their own bits. Dev scores are those of the student as it is at their step.

    Args:
        model: the low-bit student, in training.
        share: first share of the steps, as in ``progressive_steps``.
        steps: optimiser steps of the training.
    """

    def __init__(self, model: Any, share: float, steps: int) -> None:
        self.full, self.ternary = progressive_steps(share, steps)
        self.own: list[tuple[Freezable, WeightFormat]] = [
            (module, module.weight_format)
            for module in model.modules()
            if isinstance(module, Freezable) and module.weight_format is not None
        ]
        self.bits: int | None = None
        """32 or 2; None: their own."""

    def before(self, step: int) -> None:
        """Give the weights the bits of a step.

        Args:
            step: counted from 0; nothing else decides, so that a resumed training is the same.
        """
        bits = FULL_PRECISION if step < self.full else TERNARY if step < self.full + self.ternary else None
        if bits != self.bits:
            self._set(bits)
        for layer, own in self.own:
            begins = self.full + self.ternary if own.bits < TERNARY else self.full
            if step == begins > 0 and layer.weight_scale is not None:
                restart_scale(layer.weight_scale, layer.weight, own)

    def end(self) -> None:
        """Give the weights their own bits, those of the file."""
        self._set(None)

    def _set(self, bits: int | None) -> None:
        self.bits = bits
        for layer, own in self.own:
            layer.weight_format = own
            if bits == FULL_PRECISION:
                layer.weight_format = None
            elif bits == TERNARY and own.bits < TERNARY:
                layer.weight_format = WeightFormat(TERNARY, own.granularity, own.clip)
