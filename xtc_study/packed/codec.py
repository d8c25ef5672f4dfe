"""How the integers of a weight become bytes: the packings of docs/format.md, each by the name that a file gives it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from xtc_study.compress.quantization.quantizers import WeightFormat
from xtc_study.packed import base3, odd_levels, packing
from xtc_study.packed.packing import Bytes, Integers

BASE3, ODD = "base3", "b2-odd-le"


class Codec(NamedTuple):
    """One packing."""

    name: str
    """As in ``config.json``."""
    bytes_per_row: Callable[[int], int]
    """Maps columns to the bytes of a packed row."""
    pack: Callable[[Integers], Bytes]
    """Maps (rows, columns) to (rows, bytes per row)."""
    unpack: Callable[[Bytes, int], Integers]
    """Maps (rows, bytes per row) and the number of columns back; raises a ValueError for damaged bytes."""


def codec(weight: WeightFormat) -> Codec:
    """Return the packing of a weight format."""
    bits = weight.bits
    if weight.is_odd:
        return Codec(ODD, odd_levels.bytes_per_row, odd_levels.pack, odd_levels.unpack)
    if bits == 2:
        return Codec(BASE3, base3.bytes_per_row, base3.pack, base3.unpack)
    return Codec(
        f"b{bits}-le",
        partial(packing.bytes_per_row, bits=bits),
        partial(packing.pack, bits=bits),
        partial(packing.unpack, bits=bits),
    )


def levels_of(packing_name: object) -> str:
    """Return the levels (``WeightFormat.levels``) that a packing holds, going by its name."""
    return "odd" if packing_name == ODD else "ternary"
