"""Compiled loops around ``_int_mm``: quantise rows, unpack weights into a scratch matrix, scale the sums.

Division, rounding, product and sum are single float32 operations in the training layers' order, so results are equal
bit for bit. Only ``_largest`` may reorder: a maximum is the same in any order.

Types are given, so that all is compiled (the first time on a machine) or read from numba's cache at import, not within
the first batch.
"""

from __future__ import annotations

import numpy as np
from numba import njit

WEIGHTS_PER_BYTE = {1: 8, 2: 4}


def _table(weights: list[list[int]], wide: str) -> np.ndarray:
    """Each byte's weights as one wide little-endian integer, to copy at once."""
    return np.array(weights, dtype=np.int8).view(wide).ravel()


TABLES = {
    1: _table([[2 * (byte >> bit & 1) - 1 for bit in range(8)] for byte in range(256)], "<u8"),
    2: _table([[(byte >> bit & 3) - 1 for bit in range(0, 8, 2)] for byte in range(256)], "<u4"),
}


@njit("float32(float32[::1])", cache=True, nogil=True, fastmath=True)
def _largest(x):  # type: ignore[no-untyped-def]
    largest = np.float32(0)
    for value in x:
        largest = max(largest, abs(value))
    return largest


@njit("(float32[:, ::1], float32, float32, int8[:, ::1], float32[::1])", cache=True, nogil=True)
def quantise_rows(x, levels, limit, q, scales):  # type: ignore[no-untyped-def]
    """x (M, K) float32 to q int8 and scales (M,). limit < 0: each row's own maximum."""
    for row in range(x.shape[0]):
        largest = limit if limit >= 0 else _largest(x[row])
        scale = largest / levels
        step = scale if scale > 0 else np.float32(1)
        for column in range(x.shape[1]):
            value = np.rint(x[row, column] / step)
            q[row, column] = np.int8(min(max(value, -levels), levels))
        scales[row] = scale


@njit(["(uint8[::1], uint64[::1], uint64[::1])", "(uint8[::1], uint32[::1], uint32[::1])"], cache=True, nogil=True)
def spread(codes, table, wide):  # type: ignore[no-untyped-def]
    """Each byte's weights into their place: wide (bytes,) is the scratch matrix seen as wide integers."""
    for index in range(codes.shape[0]):
        wide[index] = table[codes[index]]


@njit("(int32[:, ::1], float32[::1], float32[::1], float32[::1], float32[:, ::1])", cache=True, nogil=True)
def scale_sums(sums, weight_scale, scales, bias, y):  # type: ignore[no-untyped-def]
    """y = float(sums) * (weight_scale * scales) + bias. sums (M, N) int32, weight_scale and bias (N,)."""
    for row in range(sums.shape[0]):
        for column in range(sums.shape[1]):
            y[row, column] = np.float32(sums[row, column]) * (weight_scale[column] * scales[row]) + bias[column]


@njit("(int8[::1], uint8[::1])", cache=True, nogil=True)
def pack_two_bits(weights, codes):  # type: ignore[no-untyped-def]
    """int8 weights of -1, 0, 1, a multiple of 4 of them, to four a byte; weight + 1 in two bits, little-endian."""
    for index in range(codes.shape[0]):
        byte = 0
        for place in range(4):
            byte |= (weights[4 * index + place] + 1) << 2 * place
        codes[index] = byte
