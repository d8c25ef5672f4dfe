"""The order of training rows: random, but rows of like length share a batch, so that little of it is padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler

WINDOW = 8
"""Batches that are sorted by length together. More of them pad less but make batches less random."""


class LengthGroupedSampler(Sampler[int]):
    """Row numbers, a new random order each epoch, in which each ``batch_size`` neighbours have like lengths.

    Rows are shuffled, cut into windows of WINDOW batches, sorted by length inside each window, and the window's
    batches are shuffled. transformers' own length grouping sorts 50 batches together and gives them longest first.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.lengths, self.batch_size, self.seed, self.epoch = list(lengths), batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """The epoch whose order comes next; a training that is resumed starts in the middle of one."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        self.epoch += 1
        rows = _shuffled(len(self.lengths), generator)
        size = WINDOW * self.batch_size
        for start in range(0, len(rows), size):
            window = sorted(rows[start : start + size], key=lambda row: self.lengths[row])
            whole = len(window) // self.batch_size
            for batch in _shuffled(whole, generator):
                yield from window[batch * self.batch_size : (batch + 1) * self.batch_size]
            # The last batch of an epoch may be smaller; it stays last, or every later batch would straddle two.
            yield from window[whole * self.batch_size :]


def _shuffled(count: int, generator: torch.Generator) -> list[int]:
    order: list[int] = torch.randperm(count, generator=generator).tolist()
    return order
