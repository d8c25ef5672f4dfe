"""Guesses which name a mistyped one was meant to be, for every message about an unknown name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

CUTOFF = 0.6
"""difflib's default: the share of both names' letters that must match at least, in the same order."""


def nearest(name: object, names: Iterable[object], count: int = 1) -> list[str]:
    """Return the names most similar to ``name``, the most similar first; empty where none is similar.

    Case, hyphens, blanks and underscores are ignored: ``1bit`` is ``1-bit``, ``SST-2`` is ``sst2``. Where no whole
    name is similar, names that begin or end with what was typed are taken: ``bits`` for ``30_train_large_bits``.

    Args:
        name: what was typed.
        names: that exist.
        count: how many to return at most.
    """
    plain: dict[str, list[str]] = {}
    for one in map(str, names):
        plain.setdefault(_plain(one), []).append(one)
    typed = _plain(str(name))
    similar = difflib.get_close_matches(typed, plain, count, CUTOFF)
    if not similar and len(typed) > 1:
        similar = [one for one in plain if one.startswith(typed) or one.endswith(typed)]
    return [one for key in similar for one in plain[key]][:count]


def did_you_mean(name: object, names: Iterable[object]) -> str:
    """Return ``; did you mean 'weight_bits'?`` for the end of a message; empty where no name is similar."""
    return "".join(f"; did you mean {near!r}?" for near in nearest(name, names))


def _plain(name: str) -> str:
    return "".join(char for char in name.casefold() if char not in "-_ ")
