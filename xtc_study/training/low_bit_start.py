"""Turn a full-precision student into the low-bit one that its training starts from."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from xtc_study.compress.quantization.least_squares import least_squares_start
from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.compress.static.word_start import static_word_start
from xtc_study.recipe import Recipe

ROWS = 128
"""Training rows whose inputs decide a least-squares start; GPTQ takes 128 segments of text."""
BATCH_SIZE = 32


def start_low_bit(
    student: Any, teacher: Any, recipe: Recipe, tokenizer: Any, batches: Callable[[], Sequence[Mapping[str, Tensor]]]
) -> None:
    """Make a student low-bit in place, from the words and the weights that its recipe starts from.

    Args:
        student: in full precision.
        teacher: trained.
        recipe: ``word_start``, ``weight_start`` and the formats.
        tokenizer: gives the special tokens.
        batches: returns inputs of training rows, without padding.
    """
    if recipe.word_start == "static":
        static_word_start(student, teacher, tokenizer)
    if recipe.weight_start == "least-squares":
        set_least_squares_weights(student, recipe, batches())
    make_low_bit(student, recipe)


@torch.no_grad()
def set_least_squares_weights(
    student: Any, recipe: Recipe, batches: Sequence[Mapping[str, Tensor]], most_layers: int | None = None
) -> None:
    """Give a full-precision student the latent weights of ``least_squares_start``, in place.

    A low-bit copy computes them, so that whatever ``make_low_bit`` derives from weights follows from these.

    Args:
        student: in full precision.
        recipe: the formats.
        batches: inputs of training rows, without padding.
        most_layers: only so many layers, for a trial; None: all.
    """
    twin = copy.deepcopy(student)
    make_low_bit(twin, recipe)
    for name, weight in least_squares_start(twin, batches, most_layers).items():
        student.get_submodule(name).weight.copy_(weight)


def unpadded_batches(rows: Any, padding: Callable[..., dict[str, Tensor]], seed: int) -> list[dict[str, Tensor]]:
    """Return the inputs of ``ROWS`` rows, fixed by the seed, in batches of equal length.

    Args:
        rows: encoded training rows.
        padding: collates rows into a batch; it has nothing to pad here.
        seed: the recipe's.
    """
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:ROWS].tolist()
    by_length: dict[int, list[int]] = {}
    for row in order:
        by_length.setdefault(int(rows[row]["length"]), []).append(row)

    batches = []
    for _, alike in sorted(by_length.items()):
        for start in range(0, len(alike), BATCH_SIZE):
            batch = padding([rows[row] for row in alike[start : start + BATCH_SIZE]])
            batch.pop("labels")
            batches.append(batch)
    return batches
