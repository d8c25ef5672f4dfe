"""Which weights share a scale: a whole matrix (``tensor``), each row (``row``), or N neighbours in a row
(``group:N``)."""

from __future__ import annotations

import re
from dataclasses import dataclass

EXPECTED = "expected 'tensor', 'row' or 'group:N', for example 'group:64'"


@dataclass(frozen=True)
class Granularity:
    """A granularity, which recipes and files write as ``tensor``, ``row`` or ``group:N``."""

    kind: str
    """``tensor``, ``row`` or ``group``."""
    size: int | None = None
    """The N of ``group:N``; None for the others."""

    @classmethod
    def parse(cls, text: object) -> Granularity:
        """Read a granularity from its text.

        Raises:
            ValueError: any other text; the message quotes it.
        """
        if text in ("tensor", "row"):
            return cls(str(text))
        if not isinstance(text, str) or not re.fullmatch(r"group:[1-9][0-9]{0,17}", text):
            raise ValueError(f"granularity={text!r}: {EXPECTED}")
        return cls("group", int(text.removeprefix("group:")))

    def scale_shape(self, rows: int, columns: int) -> tuple[int, int]:
        """Return the shape of the scales of a (rows, columns) matrix: (1 or rows, groups per row).

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
