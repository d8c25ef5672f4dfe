from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from xtc_study.packed.odd_levels import bytes_per_row, pack, unpack


def test_bytes_match_hand_computed_values() -> None:
    # codes 3 0 2 1 -> 3 + 0*4 + 2*16 + 1*64 = 99; then 0 3 -> 0 + 3*4 = 12
    packed = pack(np.array([[3, -3, 1, -1, -3, 3]], dtype=np.int8))
    assert packed.dtype == np.uint8 and packed.tolist() == [[99, 12]]
    assert unpack(packed, 6).tolist() == [[3, -3, 1, -1, -3, 3]]


def test_every_byte_encodes_four_weights() -> None:
    every = np.arange(256, dtype=np.uint8)[:, None]
    assert np.array_equal(pack(unpack(every, 4)), every)


@pytest.mark.parametrize(("columns", "size"), [(1, 1), (4, 1), (5, 2), (768, 192), (3072, 768)])
def test_bytes_per_row_are_rounded_up(columns: int, size: int) -> None:
    assert bytes_per_row(columns) == size


@settings(deadline=None, max_examples=100)
@given(arrays(np.int8, array_shapes(min_dims=2, max_dims=2, max_side=37), elements=st.sampled_from([-3, -1, 1, 3])))
def test_packing_round_trips(integers: np.ndarray) -> None:
    packed = pack(integers)
    assert packed.shape == (len(integers), -(-integers.shape[1] // 4))
    restored = unpack(packed, integers.shape[1])
    assert restored.dtype == np.int8 and np.array_equal(restored, integers)


@pytest.mark.parametrize("value", [0, 2, 5, -5, 0.5])
def test_integers_outside_the_format_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="must be -3, -1, 1 or 3"):
        pack(np.array([[1, value]]))


@pytest.mark.parametrize(
    ("codes", "columns", "message"),
    [([[0b01000000]], 3, "padding"), ([[0, 0]], 4, "expected 1 bytes per row for 4 columns, got 2")],
)
def test_damaged_bytes_are_refused(codes: list, columns: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        unpack(np.array(codes, dtype=np.uint8), columns)
