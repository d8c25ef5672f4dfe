"""Whether the double quotes of a .tsv file are CSV's, or plain characters of its texts.

Both kinds are common. pandas, R and spreadsheets put a text that holds a tab, a line break or a quote in quotes and
double the quotes inside; GLUE's files and many others quote nothing, and a text may begin with a quote.
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
"""What only a quoted text can hold."""


class Quotes(NamedTuple):
    """What was found."""

    are_csv: bool
    in_doubt: int = 0
    """Texts in quotes that are read with these quotes, though a writer might have put them there."""


def quotes_of(path: Path) -> Quotes:
    """Whether the file's quotes are CSV's.

    They are if every quote in it is part of a field that begins and ends with one, its inner quotes doubled, and if
    that cannot be chance: a field holds what only a quoted one can, or the whole first line is in quotes. They are not
    where they would join lines that are whole rows as they stand, with as many columns each: a quote that opens in one
    row and closes in a later one, as in dialogue, would swallow the rows between.
    """
    needed, in_doubt, first, well_formed, joined = False, 0, True, True, False
    columns: set[int] = set()
    for record in _records(path):
        if not _RECORD.fullmatch(record):
            well_formed = False
            break
        fields = _FIELD.findall(record)
        if first and fields:
            needed |= len(fields) == record.count("\t") + 1
        needed |= any(_NEEDED.search(field, 1, len(field) - 1) for field in fields)
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
    """The file's records as they stand there, without their ends, were its quotes CSV's."""
    lines: list[str] = []

    def remembered() -> Iterator[str]:
        for _, line in numbered_lines(path):
            lines.append(line)
            yield line

    try:
        for _ in csv.reader(remembered(), delimiter="\t"):
            yield "".join(lines).removesuffix("\n").removesuffix("\r")
            lines.clear()
    except csv.Error:  # a field of more than csv.field_size_limit() characters: a quote that nothing closes
        yield '"'
