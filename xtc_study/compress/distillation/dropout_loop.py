"""Dropout masks on a CPU: each number's fate is a hash of its place and of one draw from torch's generator.

torch draws its masks one number after the other on one thread, a tenth of a step on long texts; this loop has no order
and so runs in vector registers. The hash is Wellons' lowbias32 (2018).
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit("(float32[::1], uint32, uint32, uint32, float32)", cache=True, nogil=True)
def fill_mask(mask, seed, stride, threshold, scale):  # type: ignore[no-untyped-def]
    """mask (n,): ``scale`` where the hash reaches the threshold, else 0. stride: odd."""
    for place in range(mask.shape[0]):
        x = np.uint32(np.uint32(place) * stride) ^ seed  # numba makes a product of two 32-bit numbers a 64-bit one
        x = np.uint32((x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D))
        x = np.uint32((x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B))
        x = x ^ (x >> np.uint32(16))
        mask[place] = scale if x >= threshold else np.float32(0)
