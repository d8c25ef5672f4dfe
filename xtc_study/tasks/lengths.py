"""Text lengths in tokens: how many rows are cut, and which length would hold them. Imports nothing heavy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

MOST_CUT = 0.05
"""Training warns of a split if a larger share of its rows is cut."""
MOST_UNKNOWN = 0.2
"""If a larger share of a task's tokens is unknown, the tokenizer was made for another language."""
MOST_TOKENS_PER_CHARACTER = 1.25
"""Most tokens per character of a text whose characters the tokenizer knows; a tokenizer of single characters needs 1.
A byte-level tokenizer for another script needs 2 or 3."""


@dataclass(frozen=True)
class Lengths:
    """Lengths of a split's rows in tokens, special tokens included, before anything is cut."""

    rows: int
    max_length: int
    cut: int
    """Number of rows longer than ``max_length``, which are therefore read in part."""
    longest: int
    median: int
    holds_95: int
    """The smallest length that holds 95 % of the rows."""

    @property
    def share(self) -> float:
        return self.cut / self.rows if self.rows else 0.0

    @property
    def is_bad(self) -> bool:
        return self.share > MOST_CUT

    def record(self) -> dict[str, Any]:
        """Return the fields as metrics.json stores them."""
        return asdict(self)

    def in_words(self, of: str) -> str:
        """Describe the lengths in one sentence.

        Args:
            of: what the rows are, such as ``rows of dev``.
        """
        if not self.cut:
            return f"{of}: none is longer than max_length={self.max_length} tokens (the longest has {self.longest})"
        text = (
            f"{self.cut:,} of {self.rows:,} {of} ({self.share:.0%}) are longer than max_length={self.max_length} "
            f"tokens and are cut: half of all rows have {self.median} or more, the longest has {self.longest}"
        )
        return f"{text}; max_length={self.holds_95} would hold 95 %" if self.is_bad else text


def lengths_of(counts: Sequence[int], max_length: int) -> Lengths:
    """Summarise the lengths of at least one row.

    Args:
        counts: the number of tokens of each row.
        max_length: the length at which rows are cut.
    """
    ordered = sorted(counts)
    return Lengths(
        rows=len(ordered),
        max_length=max_length,
        cut=sum(count > max_length for count in ordered),
        longest=ordered[-1],
        median=ordered[(len(ordered) - 1) // 2],
        holds_95=ordered[math.ceil(0.95 * len(ordered)) - 1],
    )


def tokens_per_character(columns: Sequence[Sequence[str]], counts: Sequence[int], special: int) -> float:
    """Return tokens per non-blank character; the mark before a text's first word is not counted.

    Args:
        columns: one list of texts per text field.
        counts: the number of tokens of each row.
        special: how many tokens of a row are special and stand for no text.
    """
    characters = sum(len("".join(text.split())) for texts in columns for text in texts)
    tokens = sum(counts) - len(counts) * (special + len(columns))
    return max(tokens, 0) / max(characters, 1)
