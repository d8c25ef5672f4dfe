"""The sampler shuffles rows and puts rows of similar length into one batch."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from xtc_study.training.batch_order import WINDOW, LengthGroupedSampler

LENGTHS = st.lists(st.integers(1, 128), min_size=1, max_size=400)


@given(LENGTHS, st.integers(1, 16), st.integers(0, 5))
def test_each_epoch_has_every_row_once(lengths: list[int], batch: int, seed: int) -> None:
    order = LengthGroupedSampler(lengths, batch, seed)
    assert len(order) == len(lengths)
    for _ in range(2):
        assert sorted(order) == list(range(len(lengths)))


@given(LENGTHS, st.integers(1, 16))
def test_the_batches_of_a_window_do_not_overlap_in_length(lengths: list[int], batch: int) -> None:
    rows = list(LengthGroupedSampler(lengths, batch, 0))
    window = rows[: WINDOW * batch]
    batches = [[lengths[row] for row in window[at : at + batch]] for at in range(0, len(window), batch)]
    ranges = sorted((min(part), max(part)) for part in batches)
    assert all(left[1] <= right[0] for left, right in pairwise(ranges))


def test_the_order_depends_on_the_epoch_and_the_seed() -> None:
    lengths = [5, 9] * 200
    order = LengthGroupedSampler(lengths, 8, seed=1)
    first, second = list(order), list(order)
    again, other = LengthGroupedSampler(lengths, 8, seed=1), LengthGroupedSampler(lengths, 8, seed=2)
    assert first != second and [list(again), list(again)] == [first, second] and list(other) != first


def test_the_order_needs_less_padding_than_a_random_one() -> None:
    lengths = [4 + (37 * row) % 60 for row in range(2000)]
    padded = sum(
        max(lengths[row] for row in part) * len(part)
        for rows in [list(LengthGroupedSampler(lengths, 32, 0))]
        for part in (rows[at : at + 32] for at in range(0, len(rows), 32))
    )
    assert sum(lengths) / padded > 0.85  # a random order: 0.54
