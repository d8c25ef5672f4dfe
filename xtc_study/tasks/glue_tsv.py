"""Read one tab-separated file of the GLUE download exactly: no quoting, and only a line feed ends a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from xtc_study.tasks.lines import column_places, numbered_lines
from xtc_study.tasks.task import DataError

SHOWN_LINES = 10
"""Number of further broken lines that an error message lists."""


class Row(NamedTuple):
    """The requested values of one row and its line number, counted from 1 as editors do."""

    line: int
    values: tuple[str, ...]


def read_tsv(path: Path, columns: Sequence[str], header: Sequence[str] | None = None) -> list[Row]:
    """Return the named columns of every row, in the order requested.

    GLUE's files are not CSV: a double quote is a plain character, so a reader that honours quotes swallows rows. Only
    a line feed ends a row: carriage returns and Unicode line separators inside a text stay part of it. One carriage
    return before the line feed is dropped, so that files saved on Windows read the same. A byte order mark at the
    start of the file is dropped.

    Args:
        path: the file.
        columns: the names of the columns to return.
        header: the column names of a file that has no header line; None reads them from the first line.

    Raises:
        DataError: no such file, no header, a requested column that does not occur exactly once in the header, a row
            whose number of columns differs from the header's, bytes that are not UTF-8, or no rows. The message names
            the file and the line.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; the GLUE download layout expects it there")
    lines = _lines(path)
    names = list(header) if header is not None else _header(path, lines)
    places = column_places(path, names, columns, "; check that this is the file of the GLUE download")
    rows: list[Row] = []
    broken: list[Row] = []
    for number, line in lines:
        values = tuple(line.split("\t"))
        if len(values) != len(names):
            broken.append(Row(number, values))
        elif not broken:
            rows.append(Row(number, tuple(values[position] for position in places)))
    if broken:
        raise DataError(_broken_message(path, broken, len(names)))
    if not rows:
        after = "the file is empty" if header is not None else "nothing follows the header on line 1"
        raise DataError(f"{path}: no rows ({after}): the download is incomplete, download the file again")
    return rows


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines without their ends: one line feed, and one carriage return before it."""
    return ((number, line.removesuffix("\n").removesuffix("\r")) for number, line in numbered_lines(path))


def _header(path: Path, lines: Iterator[tuple[int, str]]) -> list[str]:
    first = next(lines, None)
    if first is None:
        raise DataError(f"{path}, line 1: the file is empty, expected a header; download the file again")
    return first[1].split("\t")


def _broken_message(path: Path, broken: list[Row], expected: int) -> str:
    # All broken lines are named at once, so that one edit repairs the file.
    first, others = broken[0], [str(row.line) for row in broken[1:]]
    also = ""
    if others:
        more = f" and {len(others) - SHOWN_LINES} more" if len(others) > SHOWN_LINES else ""
        also = f" (also wrong: line {', '.join(others[:SHOWN_LINES])}{more})"
    return (
        f"{path}, line {first.line}: got {len(first.values)} columns, expected {expected}{also}; a tab or line break "
        "inside a text splits a row, so join its parts or delete them (the QQP download is known to have a few such "
        "rows, which the hub's copy leaves out)"
    )
