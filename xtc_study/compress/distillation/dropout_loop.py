"""Dropout masks on a CPU: a hash of a number's index and of one draw from torch's generator keeps or drops it.

torch draws its masks sequentially on one thread, which takes a tenth of a step on long texts; the iterations of this
loop are independent, so the compiler vectorises it. The hash is Wellons' lowbias32 (2018).
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit("(float32[::1], uint32, uint32, uint32, float32)", cache=True, nogil=True)
def fill_mask(mask, seed, stride, threshold, scale):  # type: ignore[no-untyped-def]
    """Fill mask (n,) with ``scale`` where the hash reaches the threshold, else 0. ``stride`` must be odd."""
    for place in range(mask.shape[0]):
        x = np.uint32(np.uint32(place) * stride) ^ seed  # numba widens a product of two 32-bit numbers to 64 bits
        x = np.uint32((x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D))
        x = np.uint32((x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B))
        x = x ^ (x >> np.uint32(16))
        mask[place] = scale if x >= threshold else np.float32(0)
