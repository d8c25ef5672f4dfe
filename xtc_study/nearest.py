"""The name that a mistyped one was meant to be. Every message about an unknown name asks here."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

CUTOFF = 0.6
"""difflib's own: of the letters of both names so many are shared and in the same order."""


def nearest(name: object, names: Iterable[object], count: int = 1) -> list[str]:
    """Those of ``names`` that are most like ``name``, the most like first; empty where none is.

    Capitals, hyphens, blanks and underscores do not count: ``1bit`` is ``1-bit``, ``SST-2`` is ``sst2``. Where no name
    is alike as a whole, those that begin or end with what was typed are taken: ``bits`` for ``30_train_large_bits``.
    """
    plain: dict[str, list[str]] = {}
    for one in map(str, names):
        plain.setdefault(_plain(one), []).append(one)
    typed = _plain(str(name))
    found = difflib.get_close_matches(typed, plain, count, CUTOFF)
    if not found and len(typed) > 1:
        found = [one for one in plain if one.startswith(typed) or one.endswith(typed)]
    return [one for key in found for one in plain[key]][:count]


def did_you_mean(name: object, names: Iterable[object]) -> str:
    """``; did you mean 'weight_bits'?`` for the end of a message, or nothing where no name is alike."""
    return "".join(f"; did you mean {near!r}?" for near in nearest(name, names))


def _plain(name: str) -> str:
    return "".join(char for char in name.casefold() if char not in "-_ ")
