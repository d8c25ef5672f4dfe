"""What all readers of text tables share: numbered lines of UTF-8, and columns found by name.

Only a line feed ends a line; other characters that Python treats as line ends stay in the text. ``rows.py`` uses this
for your own files, ``glue_tsv.py`` for those of the GLUE download.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from xtc_study.tasks.task import DataError

BYTE_ORDER_MARK = "\ufeff"


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each line with its line end, and its number, counted from 1 as editors do. A byte order mark is dropped.

    Raises:
        DataError: bytes that are not UTF-8; the message names the line and the byte.
    """
    # A binary file is split only at b"\n"; text mode and str.splitlines also split at other characters.
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            try:
                line = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{path}, line {number}: not UTF-8 (byte 0x{raw[error.start]:02x} at byte {error.start + 1} of "
                    "the line); save the file as UTF-8"
                ) from None
            yield number, line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line


def column_places(path: Path, names: Sequence[str], columns: Sequence[str], advice: str = "") -> list[int]:
    """Return the position of each column, from 0.

    Args:
        path: the file, for the message.
        names: the column names in its header, in order.
        columns: the names to find.
        advice: appended to the message.

    Raises:
        DataError: a column does not occur exactly once.
    """
    for column in columns:
        if names.count(column) != 1:
            count = f"{names.count(column)} columns" if column in names else "no column"
            raise DataError(
                f"{path}, line 1: {count} {column!r}, expected one; the first line names {', '.join(map(repr, names))}"
                f"{advice}"
            )
    return [names.index(column) for column in columns]
