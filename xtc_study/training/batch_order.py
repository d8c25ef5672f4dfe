"""The order of training rows: random, but with rows of similar length in one batch, which needs less padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler

WINDOW = 8
"""Number of batches sorted by length together. More reduce padding but make batches less random."""


class LengthGroupedSampler(Sampler[int]):
    """Yield row numbers in a new random order each epoch, with rows of similar length in each batch.

    Rows are shuffled and cut into windows of WINDOW batches; each window is sorted by length, and its batches are
    shuffled. transformers' own length grouping sorts 50 batches together and yields them longest first.

    Args:
        lengths: tokens of each row.
        batch_size: rows of a batch.
        seed: seed of the order.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.lengths, self.batch_size, self.seed, self.epoch = list(lengths), batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch whose order comes next; a resumed training starts in the middle of one."""
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
            # The last batch of an epoch may be smaller. It stays last: before others it would shift all later batches.
            yield from window[whole * self.batch_size :]


def _shuffled(count: int, generator: torch.Generator) -> list[int]:
    order: list[int] = torch.randperm(count, generator=generator).tolist()
    return order
