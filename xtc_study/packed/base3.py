"""Pack ternary weights in base 3: five per byte, 1.6 bits per weight; rows of whole bytes.

Byte i of a row holds weights 5i to 5i + 4 as digits d = weight + 1 of the number d0 + 3 d1 + 9 d2 + 27 d3 + 81 d4,
at most 242. The missing digits at the end of a row are 0.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from xtc_study.packed.packing import Bytes, Integers

DIGITS = 5
LARGEST = 3**DIGITS - 1
POWERS = 3 ** np.arange(DIGITS, dtype=np.uint8)


def bytes_per_row(columns: int) -> int:
    """Return the bytes of a packed row of this many weights."""
    return -(-columns // DIGITS)


def pack(integers: Integers) -> Bytes:
    """Pack (rows, columns) of -1, 0, 1 to (rows, bytes per row).

    Raises:
        ValueError: an integer other than -1, 0 or 1.
    """
    weights = np.asarray(integers)
    if not np.isin(weights, (-1, 0, 1)).all():
        raise ValueError("ternary weights must be -1, 0 or 1")
    rows, columns = weights.shape
    width = bytes_per_row(columns)
    digits = np.zeros((rows, width * DIGITS), dtype=np.uint8)
    digits[:, :columns] = weights + 1
    codes: Bytes = (digits.reshape(rows, width, DIGITS) * POWERS).sum(-1, dtype=np.uint8)
    return codes


def unpack(packed: Bytes, columns: int) -> Integers:
    """Unpack (rows, bytes per row) to (rows, columns) of -1, 0, 1.

    Raises:
        ValueError: rows of another length, a byte above 242, or nonzero digits beyond the last column (a damaged
            file).
    """
    rows, width = packed.shape
    if width != bytes_per_row(columns):
        raise ValueError(f"expected {bytes_per_row(columns)} bytes per row for {columns} columns, got {width}")
    if packed.size and packed.max() > LARGEST:
        raise ValueError(f"byte {int(packed.max())} does not encode five ternary weights (at most {LARGEST})")
    digits = table()[packed].reshape(rows, width * DIGITS)
    if (digits[:, columns:] != -1).any():
        raise ValueError("the digits beyond the last column must be zero")
    return np.ascontiguousarray(digits[:, :columns])


@cache
def table() -> npt.NDArray[np.int8]:
    """Return the five weights of each byte, (243, 5)."""
    values = np.arange(LARGEST + 1, dtype=np.int16)[:, None] // POWERS.astype(np.int16)
    return (values % 3 - 1).astype(np.int8)
