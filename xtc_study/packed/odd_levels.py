"""Pack 2-bit weights without a zero, -3, -1, 1, 3: four per byte, rows of whole bytes, little-endian.

Weight j of a row occupies bits 2j and 2j + 1 of the row; its code is (weight + 3) / 2, so every code encodes a weight.
"""

from __future__ import annotations

import numpy as np

from xtc_study.packed import packing
from xtc_study.packed.packing import Bytes, Integers

BITS = 2


def bytes_per_row(columns: int) -> int:
    """Return the bytes of a packed row of this many weights."""
    return packing.bytes_per_row(columns, BITS)


def pack(integers: Integers) -> Bytes:
    """Pack (rows, columns) of -3, -1, 1, 3 to (rows, bytes per row).

    Raises:
        ValueError: another integer.
    """
    weights = np.asarray(integers)
    if not np.isin(weights, (-3, -1, 1, 3)).all():
        raise ValueError("2-bit weights without a zero must be -3, -1, 1 or 3")
    return packing.pack_codes(((weights.astype(np.int16) + 3) // 2).astype(np.uint8), BITS)


def unpack(packed: Bytes, columns: int) -> Integers:
    """Unpack (rows, bytes per row) to (rows, columns) of -3, -1, 1, 3.

    Raises:
        ValueError: rows of another length, or nonzero bits beyond the last column (a damaged file).
    """
    return (2 * packing.unpack_codes(packed, columns, BITS) - 3).astype(np.int8)
