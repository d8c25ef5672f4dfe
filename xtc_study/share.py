"""A share such as ``1/2`` of layers or units: how recipes write it and how it is rounded."""

from __future__ import annotations

import re
from dataclasses import dataclass

PATTERN = r"^[1-9]\d{0,2}/[1-9]\d{0,2}$"
"""Both numbers from 1 to 999."""


@dataclass(frozen=True)
class Share:
    """``part`` of ``whole`` equal parts."""

    part: int
    whole: int

    @classmethod
    def parse(cls, text: str) -> Share:
        """Read a share from text such as ``5/12``.

        Raises:
            ValueError: any other form; the message quotes the text.
        """
        if not re.fullmatch(PATTERN, text):
            raise ValueError(f"{text!r}: expected a share such as 1/2, both numbers from 1 to 999")
        part, whole = text.split("/")
        return cls(int(part), int(whole))

    @property
    def exceeds_one(self) -> bool:
        return self.part > self.whole

    def of(self, count: int) -> int:
        """Return the share of ``count`` items, rounded to the nearest integer (halves to even), at least 1."""
        return max(round(self.times(count)), 1)

    def times(self, amount: float) -> float:
        """Return the share of an amount, not rounded."""
        return amount * self.part / self.whole
