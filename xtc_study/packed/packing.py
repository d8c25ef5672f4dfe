"""Pack small integers into bits and back: ``bits`` bits per weight, rows of whole bytes, little-endian.

Weight j of a row occupies bits j*b to j*b + b - 1 of the row, bit 0 being the least significant bit of its first
byte. The code of integer v is v + largest; for binary weights it is 1 for +1 and 0 for -1.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xtc_study.compress.quantization.quantizers import largest_integer

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int8]


def bytes_per_row(columns: int, bits: int) -> int:
    """Return the bytes of a packed row of this many weights."""
    return -(-columns * bits // 8)


def pack(integers: Integers, bits: int) -> Bytes:
    """Pack integers (rows, columns) to (rows, bytes per row).

    Raises:
        ValueError: an integer outside the format.
    """
    largest = largest_integer(bits)
    weights = np.asarray(integers)
    values = weights.astype(np.int8)
    if not np.array_equal(values, weights):
        raise ValueError(f"{bits}-bit weights must be whole numbers from -127 to 127")

    if bits == 1:
        if not np.isin(values, (-1, 1)).all():
            raise ValueError("binary weights must be -1 or +1")
        codes = (values > 0).astype(np.uint8)
    else:
        if values.size and (values.min() < -largest or values.max() > largest):
            raise ValueError(f"{bits}-bit weights must lie in -{largest} to {largest}")
        codes = (values.astype(np.int16) + largest).astype(np.uint8)
    return pack_codes(codes, bits)


def unpack(packed: Bytes, columns: int, bits: int) -> Integers:
    """Unpack (rows, bytes per row) to integers (rows, columns).

    Raises:
        ValueError: rows of another length, nonzero padding bits, or a code that encodes no integer (a damaged file).
    """
    codes = unpack_codes(packed, columns, bits)
    if bits == 1:
        return (2 * codes - 1).astype(np.int8)
    largest = largest_integer(bits)
    if codes.size and codes.max() > 2 * largest:
        raise ValueError(f"code {int(codes.max())} encodes no {bits}-bit weight")
    return (codes - largest).astype(np.int8)


def pack_codes(codes: Bytes, bits: int) -> Bytes:
    """Pack codes (rows, columns) of ``bits`` bits to (rows, bytes per row)."""
    rows, columns = codes.shape
    one_bit_each = (codes[:, :, None] >> np.arange(bits, dtype=np.uint8)) & 1
    return np.packbits(one_bit_each.reshape(rows, columns * bits), axis=1, bitorder="little")


def unpack_codes(packed: Bytes, columns: int, bits: int) -> npt.NDArray[np.int16]:
    """Unpack (rows, bytes per row) to codes (rows, columns).

    Raises:
        ValueError: rows of another length, or nonzero padding bits (a damaged file).
    """
    rows, width = packed.shape
    if width != bytes_per_row(columns, bits):
        raise ValueError(f"expected {bytes_per_row(columns, bits)} bytes per row for {columns} columns, got {width}")

    stream = np.unpackbits(packed, axis=1, bitorder="little")
    if stream[:, columns * bits :].any():
        raise ValueError("the padding at the end of a row must be zero")
    stream = stream[:, : columns * bits].reshape(rows, columns, bits)
    codes = np.zeros((rows, columns), dtype=np.int16)
    for bit in range(bits):
        codes |= stream[:, :, bit].astype(np.int16) << bit
    return codes
