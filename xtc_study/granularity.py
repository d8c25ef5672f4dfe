"""Who shares a scale: all weights of a matrix (``tensor``), each of its rows (``row``), or N neighbours of a row
(``group:N``)."""

from __future__ import annotations

import re
from dataclasses import dataclass

EXPECTED = "expected 'tensor', 'row' or 'group:N', for example 'group:64'"


@dataclass(frozen=True)
class Granularity:
    """What recipes and files write as ``tensor``, ``row`` or ``group:N``."""

    kind: str
    """``tensor``, ``row`` or ``group``."""
    size: int | None = None
    """The N of ``group:N``; None for the others."""

    @classmethod
    def parse(cls, text: object) -> Granularity:
        """The value behind its text.

        Raises:
            ValueError: anything else; the message names what was given.
        """
        if text in ("tensor", "row"):
            return cls(str(text))
        if not isinstance(text, str) or not re.fullmatch(r"group:[1-9][0-9]{0,17}", text):
            raise ValueError(f"granularity={text!r}: {EXPECTED}")
        return cls("group", int(text.removeprefix("group:")))

    def scale_shape(self, rows: int, columns: int) -> tuple[int, int]:
        """(1 or rows, groups a row): the shape of a (rows, columns) matrix's scales.

        Raises:
            ValueError: the columns do not divide into groups of N.
        """
        if self.kind == "tensor":
            return 1, 1
        if self.size is None:
            return rows, 1
        if columns % self.size:
            raise ValueError(
                f"granularity='group:{self.size}': {columns} columns do not divide into groups of {self.size}"
            )
        return rows, columns // self.size
