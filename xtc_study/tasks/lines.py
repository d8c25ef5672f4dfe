"""What every table in a text file has: numbered lines of UTF-8, and columns found by their names.

Lines are cut at line feeds alone: what else Python takes for a line's end stays in the text. ``rows.py`` reads your
own files with this, ``glue_tsv.py`` those of the GLUE download.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from xtc_study.tasks.task import DataError

BYTE_ORDER_MARK = "\ufeff"


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Each line with its end, and its number, from 1 as editors count. A byte order mark is dropped.

    Raises:
        DataError: bytes that are not UTF-8; the message names the line and the byte.
    """
    # A file opened for bytes is split at b"\n" alone; text mode and str.splitlines also split at other characters.
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
    """Where the columns of that name stand, from 0.

    Args:
        path: of the file, for the message.
        names: what its header names, in order.
        columns: the names to find.
        advice: what the message says at its end.

    Raises:
        DataError: a column that is not there exactly once.
    """
    for column in columns:
        if names.count(column) != 1:
            many = f"{names.count(column)} columns" if column in names else "no column"
            raise DataError(
                f"{path}, line 1: {many} {column!r}, expected one; the first line names {', '.join(map(repr, names))}"
                f"{advice}"
            )
    return [names.index(column) for column in columns]
