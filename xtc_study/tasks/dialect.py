"""Detect whether double quotes in a .tsv file are CSV quoting or plain characters of its texts.

Both kinds are common. pandas, R and spreadsheets enclose a text that contains a tab, a line break or a quote in quotes
and double the quotes inside; GLUE's files and many others quote nothing, and a text may begin with a quote.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from xtc_study.tasks.lines import numbered_lines

_QUOTED = r'"[^"]*(?:""[^"]*)*"'
_RECORD = re.compile(rf'(?:{_QUOTED}|[^"\t]*)(?:\t(?:{_QUOTED}|[^"\t]*))*')
_FIELD = re.compile(rf"(?:^|\t)({_QUOTED})(?=\t|$)")
_NEEDED = re.compile(r'[\t\r\n]|""')
"""What only a quoted text can contain."""


class Quotes(NamedTuple):
    """How the double quotes of a file are read."""

    are_csv: bool
    in_doubt: int = 0
    """Number of quoted texts that are read with their quotes, though the writer may have meant them as quoting."""


def quotes_of(path: Path) -> Quotes:
    """Decide whether the file's quotes are CSV quoting.

    They are if every quote belongs to a field that begins and ends with one, with inner quotes doubled, and if that
    cannot be chance: some field contains what only a quoted field can, or every field of the first line is quoted.
    They are not if they would join lines that are complete rows on their own, with the same number of columns: a quote
    that opens in one row and closes in a later one, as in dialogue, would swallow the rows in between.
    """
    needed, in_doubt, first, well_formed, joined = False, 0, True, True, False
    columns: set[int] = set()
    for record in _records(path):
        if not _RECORD.fullmatch(record):
            well_formed = False
            break
        fields = _FIELD.findall(record)

        # What cannot be chance: a fully quoted first line, or a field that only quotes make possible.
        if first and fields:
            needed |= len(fields) == record.count("\t") + 1
        needed |= any(_NEEDED.search(field, 1, len(field) - 1) for field in fields)

        # For the answer: how many fields are quoted, and whether quotes join lines that are rows on their own.
        in_doubt += len(fields)
        columns |= {line.count("\t") for line in record.splitlines()}
        joined |= "\n" in record
        first = False

    if joined and len(columns) == 1:
        return Quotes(False)
    if well_formed and needed:
        return Quotes(True)
    return Quotes(False, in_doubt if well_formed else 0)


def _records(path: Path) -> Iterator[str]:
    """Yield the file's records verbatim, without line ends, as if its quotes were CSV quoting."""
    lines: list[str] = []

    def recorded_lines() -> Iterator[str]:
        for _, line in numbered_lines(path):
            lines.append(line)
            yield line

    try:
        for _ in csv.reader(recorded_lines(), delimiter="\t"):
            yield "".join(lines).removesuffix("\n").removesuffix("\r")
            lines.clear()
    except csv.Error:  # a field of more than csv.field_size_limit() characters: a quote that is never closed
        yield '"'
