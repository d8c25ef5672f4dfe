"""Compiled loops around ``_int_mm``: quantise rows, unpack weights into a scratch matrix, scale the sums.

Division, rounding, product and sum are single float32 operations in the training layers' order, so results are equal
bit for bit.

The loops have explicit types, so that they are compiled (once per machine) or read from numba's cache at import rather
than in the first batch.
"""

from __future__ import annotations

import numpy as np
from numba import njit

WEIGHTS_PER_BYTE = {1: 8, 2: 4}


@njit("float32(float32[::1])", cache=True, nogil=True)
def _largest(x):  # type: ignore[no-untyped-def]
    """The largest magnitude, found by comparing bits without sign, which order like the numbers, NaN last."""
    largest = np.int32(0)
    for bits in x.view(np.int32):
        largest = max(largest, bits & np.int32(0x7FFFFFFF))
    return np.int32(largest).view(np.float32)


@njit("(float32[:, ::1], float32, float32, float32, int8[:, ::1], float32[::1])", cache=True, nogil=True)
def quantize_rows(x, levels, limit, epsilon, q, scales):  # type: ignore[no-untyped-def]
    """Quantise x (M, K) float32 to q int8 and scales (M,).

    limit < 0: use each row's own maximum. epsilon >= 0: divide each row by its root mean square, which changes only
    its scale (``compress/quantization/input_norm.py``).
    """
    for row in range(x.shape[0]):
        largest = _largest(x[row]) if limit < 0 else limit
        scale = largest / levels
        step = scale if scale > 0 else np.float32(1)
        for column in range(x.shape[1]):
            value = np.rint(x[row, column] / step)
            q[row, column] = np.int8(min(max(value, -levels), levels))
        if epsilon >= 0:
            squares = np.int64(0)
            for column in range(x.shape[1]):
                squares += np.int64(q[row, column]) * np.int64(q[row, column])
            mean_square = (scale * scale) * (np.float32(squares) / np.float32(x.shape[1]))
            scale = scale * (np.float32(1) / np.sqrt(mean_square + epsilon))
        scales[row] = scale


# A byte's eight weights at once, each in its own byte of a 64-bit integer; the compiler vectorises this form.
EACH, PLACES, LOW7 = np.uint64(0x0101010101010101), np.uint64(0x8040201008040201), np.uint64(0x7F7F7F7F7F7F7F7F)


@njit("(uint8[::1], uint64[::1])", cache=True, nogil=True)
def spread_one_bit(codes, wide):  # type: ignore[no-untyped-def]
    """Unpack each byte's eight signs; wide (bytes,) is the scratch matrix viewed as 64-bit integers."""
    for index in range(codes.shape[0]):
        own_bit = (np.uint64(codes[index]) * EACH) & PLACES  # byte k keeps bit k
        is_zero = (((((own_bit & LOW7) + LOW7) | own_bit) >> np.uint64(7)) & EACH) ^ EACH
        wide[index] = is_zero * np.uint64(254) + EACH  # 0 becomes -1, 255 as a byte; 1 stays 1


@njit("(uint8[::1], uint32[::1])", cache=True, nogil=True)
def spread_two_bits(codes, wide):  # type: ignore[no-untyped-def]
    """Unpack each byte's four weights; wide (bytes,) is the scratch matrix viewed as 32-bit integers."""
    for index in range(codes.shape[0]):
        byte = np.uint32(codes[index])
        four = (byte | byte << np.uint32(6) | byte << np.uint32(12) | byte << np.uint32(18)) & np.uint32(0x03030303)
        wide[index] = ((four | np.uint32(0x80808080)) - np.uint32(0x01010101)) ^ np.uint32(
            0x80808080
        )  # subtracts 1 from each byte


@njit("(uint8[::1], uint32[::1])", cache=True, nogil=True)
def spread_odd(codes, wide):  # type: ignore[no-untyped-def]
    """Unpack each byte's four weights -3, -1, 1, 3; wide (bytes,) is the scratch matrix viewed as 32-bit integers."""
    for index in range(codes.shape[0]):
        byte = np.uint32(codes[index])
        four = (byte | byte << np.uint32(6) | byte << np.uint32(12) | byte << np.uint32(18)) & np.uint32(0x03030303)
        wide[index] = ((four << np.uint32(1) | np.uint32(0x80808080)) - np.uint32(0x03030303)) ^ np.uint32(
            0x80808080
        )  # doubles each byte, and subtracts 3 from it


SPREAD = {
    (1, False): (spread_one_bit, np.uint64),
    (2, False): (spread_two_bits, np.uint32),
    (2, True): (spread_odd, np.uint32),
}
"""The loop that unpacks weights of so many bits, odd levels or not, and the type it writes."""


@njit("(int32[:, ::1], float32[::1], float32[::1], float32[::1], float32[:, ::1])", cache=True, nogil=True)
def scale_sums(sums, weight_scale, scales, bias, y):  # type: ignore[no-untyped-def]
    """Compute y = float(sums) * (weight_scale * scales) + bias; sums (M, N) int32, weight_scale and bias (N,)."""
    for row in range(sums.shape[0]):
        for column in range(sums.shape[1]):
            y[row, column] = np.float32(sums[row, column]) * (weight_scale[column] * scales[row]) + bias[column]


@njit("(int8[::1], uint8[::1])", cache=True, nogil=True)
def pack_two_bits(weights, codes):  # type: ignore[no-untyped-def]
    """Pack int8 weights -1, 0, 1, a multiple of 4, four per byte: weight + 1 in two bits, little-endian."""
    for index in range(codes.shape[0]):
        byte = 0
        for place in range(4):
            byte |= (weights[4 * index + place] + 1) << 2 * place
        codes[index] = byte
