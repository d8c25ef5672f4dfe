"""How long texts are in word pieces: how many are cut, and what length would hold them. Imports nothing heavy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

MOST_CUT = 0.05
"""A split of which more is cut is named before training."""
MOST_UNKNOWN = 0.2
"""A tokenizer that knows fewer of a task's words than this leaves was made for another text."""
MOST_PIECES = 1.25
"""Word pieces a character that a text needs at most where its tokenizer knows its characters; a tokenizer of single
characters needs 1. One made of bytes, for another script, needs 2 or 3."""


@dataclass(frozen=True)
class Lengths:
    """Of a split's rows, special pieces included, before anything is cut."""

    rows: int
    max_length: int
    cut: int
    """Rows that are longer than ``max_length``, and so are read in part."""
    longest: int
    median: int
    holds_95: int
    """The least length that holds 95 % of the rows."""

    @property
    def share(self) -> float:
        return self.cut / self.rows if self.rows else 0.0

    @property
    def is_bad(self) -> bool:
        return self.share > MOST_CUT

    def record(self) -> dict[str, Any]:
        """As metrics.json stores it."""
        return asdict(self)

    def in_words(self, of: str) -> str:
        """One sentence.

        Args:
            of: what the rows are: ``rows of dev``.
        """
        if not self.cut:
            return (
                f"{of}: none is longer than max_length={self.max_length} word pieces (the longest has {self.longest})"
            )
        text = (
            f"{self.cut:,} of {self.rows:,} {of} ({self.share:.0%}) are longer than max_length={self.max_length} word "
            f"pieces and are cut: half of all have {self.median} or more, the longest has {self.longest}"
        )
        return f"{text}; max_length={self.holds_95} would hold 95 %" if self.is_bad else text


def lengths_of(counts: Sequence[int], max_length: int) -> Lengths:
    """Of rows with so many word pieces each, at least one row."""
    ordered = sorted(counts)
    return Lengths(
        rows=len(ordered),
        max_length=max_length,
        cut=sum(count > max_length for count in ordered),
        longest=ordered[-1],
        median=ordered[(len(ordered) - 1) // 2],
        holds_95=ordered[math.ceil(0.95 * len(ordered)) - 1],
    )


def pieces_per_character(columns: Sequence[Sequence[str]], counts: Sequence[int], special: int) -> float:
    """Word pieces for each character that is no blank; a mark before a text's first word is not counted.

    Args:
        columns: one list of texts a text field. counts: pieces of each row. special: of these, pieces a row that stand
            for no text.
    """
    characters = sum(len("".join(text.split())) for texts in columns for text in texts)
    pieces = sum(counts) - len(counts) * (special + len(columns))
    return max(pieces, 0) / max(characters, 1)
