from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from xtc_study.compress.quantization.quantizers import WeightFormat
from xtc_study.packed.packing import bytes_per_row, pack, unpack


@pytest.mark.parametrize(
    ("bits", "integers", "packed"),
    [
        pytest.param(1, [[1, -1, 1, 1, -1, -1, -1, -1, 1]], [[0b00001101, 1]], id="1 bit, nine weights"),
        pytest.param(2, [[1, 0, -1, 1], [-1, -1, -1, 0]], [[0b10000110], [0b01000000]], id="2 bits"),
        pytest.param(3, [[3, -3, 0]], [[0b11000110, 0]], id="3 bits, over the edge of a byte"),
        pytest.param(4, [[7, -7, 1]], [[0b00001110, 0b00001000]], id="4 bits, padded"),
        pytest.param(8, [[127, -127, 0]], [[254, 0, 127]], id="8 bits"),
    ],
)
def test_bytes_match_hand_computed_values(bits: int, integers: list, packed: list) -> None:
    codes = pack(np.array(integers, dtype=np.int8), bits)
    assert codes.dtype == np.uint8
    assert codes.tolist() == packed
    assert unpack(codes, len(integers[0]), bits).tolist() == integers


@st.composite
def formats(draw: st.DrawFn) -> tuple[int, np.ndarray]:
    bits = draw(st.integers(1, 8))
    largest = 2 ** (bits - 1) - 1 if bits > 2 else 1
    values = st.sampled_from([-1, 1]) if bits == 1 else st.integers(-largest, largest)
    return bits, draw(arrays(np.int8, array_shapes(min_dims=2, max_dims=2, max_side=37), elements=values))


@settings(deadline=None, max_examples=150)
@given(formats())
def test_packing_round_trips(example: tuple[int, np.ndarray]) -> None:
    bits, integers = example
    rows, columns = integers.shape
    packed = pack(integers, bits)
    assert packed.shape == (rows, (columns * bits + 7) // 8)
    restored = unpack(packed, columns, bits)
    assert restored.dtype == np.int8
    assert np.array_equal(restored, integers)


@pytest.mark.parametrize("bits", range(1, 9))
def test_widest_integers_round_trip(bits: int) -> None:
    largest = WeightFormat(bits).largest
    integers = np.array([[-largest, largest] * 6 + [largest]], dtype=np.int8)
    assert np.array_equal(unpack(pack(integers, bits), 13, bits), integers)


@pytest.mark.parametrize(
    ("columns", "bits", "size"),
    [(1, 1, 1), (8, 1, 1), (9, 1, 2), (768, 1, 96), (768, 2, 192), (3, 3, 2), (5, 5, 4), (7, 7, 7), (768, 8, 768)],
)
def test_bytes_per_row_are_rounded_up(columns: int, bits: int, size: int) -> None:
    assert bytes_per_row(columns, bits) == size


@pytest.mark.parametrize(
    ("value", "bits"),
    [(0, 1), (2, 1), (2, 2), (-2, 2), (4, 3), (-4, 3), (8, 4), (-128, 8)],
)
def test_integers_outside_the_format_are_refused(value: int, bits: int) -> None:
    with pytest.raises(ValueError, match="weights must"):
        pack(np.array([[1, value]], dtype=np.int8), bits)


@pytest.mark.parametrize("value", [257, 1.5], ids=["wraps to 1 in int8", "no whole number"])
def test_values_outside_int8_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="weights must"):
        pack(np.array([[1, value]]), 2)


@pytest.mark.parametrize(
    ("codes", "columns", "bits", "message"),
    [
        pytest.param([[0b00100001]], 5, 1, "padding", id="1 bit, padding set"),
        pytest.param([[0b01000000]], 3, 2, "padding", id="2 bits, padding set"),
        pytest.param([[0, 0b00000010]], 3, 3, "padding", id="3 bits, padding set"),
        pytest.param([[0b00000011]], 4, 2, "code 3 encodes no 2-bit weight", id="2 bits"),
        pytest.param([[0b00000111, 0]], 3, 3, "code 7 encodes no 3-bit weight", id="3 bits"),
        pytest.param([[0b11110000]], 2, 4, "code 15 encodes no 4-bit weight", id="4 bits"),
        pytest.param([[0, 255]], 2, 8, "code 255 encodes no 8-bit weight", id="8 bits"),
        pytest.param([[0, 0]], 8, 1, "expected 1 bytes per row for 8 columns, got 2", id="row too long"),
        pytest.param([[0]], 9, 1, "expected 2 bytes per row for 9 columns, got 1", id="row too short"),
    ],
)
def test_damaged_bytes_are_refused(codes: list, columns: int, bits: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        unpack(np.array(codes, dtype=np.uint8), columns, bits)


@settings(deadline=None, max_examples=60)
@given(formats(), st.data())
def test_flipped_bit_changes_an_integer_or_is_refused(example: tuple[int, np.ndarray], data: st.DataObject) -> None:
    bits, integers = example
    packed = pack(integers, bits)
    row = data.draw(st.integers(0, packed.shape[0] - 1))
    bit = data.draw(st.integers(0, packed.shape[1] * 8 - 1))
    packed[row, bit // 8] ^= 1 << (bit % 8)
    try:
        damaged = unpack(packed, integers.shape[1], bits)
    except ValueError:
        return
    assert (damaged != integers).sum() == 1
