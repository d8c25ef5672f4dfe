from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from xtc_study.packed.base3 import bytes_per_row, pack, table, unpack


def test_bytes_match_hand_computed_values() -> None:
    # digits 2 1 0 2 1 -> 2 + 1*3 + 0*9 + 2*27 + 1*81 = 140; then 0 2 -> 0 + 2*3 = 6
    packed = pack(np.array([[1, 0, -1, 1, 0, -1, 1]], dtype=np.int8))
    assert packed.dtype == np.uint8 and packed.tolist() == [[140, 6]]
    assert unpack(packed, 7).tolist() == [[1, 0, -1, 1, 0, -1, 1]]


def test_every_byte_round_trips() -> None:
    assert table().shape == (243, 5)
    assert np.array_equal(pack(table())[:, 0], np.arange(243))


@pytest.mark.parametrize(("columns", "size"), [(1, 1), (5, 1), (6, 2), (768, 154), (3072, 615)])
def test_bytes_per_row_are_rounded_up(columns: int, size: int) -> None:
    assert bytes_per_row(columns) == size


@settings(deadline=None, max_examples=100)
@given(arrays(np.int8, array_shapes(min_dims=2, max_dims=2, max_side=37), elements=st.integers(-1, 1)))
def test_packing_round_trips(integers: np.ndarray) -> None:
    packed = pack(integers)
    assert packed.shape == (len(integers), -(-integers.shape[1] // 5))
    assert np.array_equal(unpack(packed, integers.shape[1]), integers)


@pytest.mark.parametrize("value", [2, -2, 0.5])
def test_integers_outside_the_format_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="must be -1, 0 or 1"):
        pack(np.array([[1, value]]))


@pytest.mark.parametrize(
    ("codes", "columns", "message"),
    [
        ([[243]], 5, "byte 243 does not encode five"),
        ([[255]], 5, "byte 255"),
        ([[81]], 4, "beyond the last column"),
        ([[0, 0]], 5, "expected 1 bytes per row for 5 columns, got 2"),
    ],
)
def test_damaged_bytes_are_refused(codes: list, columns: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        unpack(np.array(codes, dtype=np.uint8), columns)
