"""Reading one tab-separated file of the GLUE download, exactly: no quoting, rows end at a line feed only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from xtc_study.tasks.lines import column_places, numbered_lines
from xtc_study.tasks.task import DataError

SHOWN_LINES = 10
"""How many further broken lines an error message lists."""


class Row(NamedTuple):
    """The wanted values of one row and the line they stand on, counted from 1 as editors do."""

    line: int
    values: tuple[str, ...]


def read_tsv(path: Path, columns: Sequence[str], header: Sequence[str] | None = None) -> list[Row]:
    """The named columns of every row, in the order asked for.

    GLUE's files are not CSV: a double quote is a plain character, so a quoting reader swallows rows. Rows end at a
    line feed and nowhere else: carriage returns and Unicode line separators inside a text stay part of it. One
    carriage return before the line feed is dropped, so that files saved on Windows read the same. A byte order mark
    at the start of the file is dropped.

    Args:
        columns: the names of the columns to return.
        header: the column names of a file that has no header line; None reads them from the first line.

    Raises:
        DataError: no such file, no header, a wanted column that the header does not have exactly once, a row with
            another number of columns than the header, bytes that are not UTF-8, or no rows. The message names the
            file and the line.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; the GLUE download layout has it there")
    lines = _lines(path)
    names = list(header) if header is not None else _header(path, lines)
    wanted = column_places(path, names, columns, "; check that this is the file of the GLUE download")
    rows: list[Row] = []
    broken: list[Row] = []
    for number, line in lines:
        values = tuple(line.split("\t"))
        if len(values) != len(names):
            broken.append(Row(number, values))
        elif not broken:
            rows.append(Row(number, tuple(values[position] for position in wanted)))
    if broken:
        raise DataError(_broken_message(path, broken, len(names)))
    if not rows:
        after = "the file is empty" if header is not None else "nothing follows the header on line 1"
        raise DataError(f"{path}: no rows ({after}); the download is incomplete, fetch the file again")
    return rows


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Without their ends: one line feed, and one carriage return before it."""
    return ((number, line.removesuffix("\n").removesuffix("\r")) for number, line in numbered_lines(path))


def _header(path: Path, lines: Iterator[tuple[int, str]]) -> list[str]:
    first = next(lines, None)
    if first is None:
        raise DataError(f"{path}, line 1: no header, the file is empty; fetch the file again")
    return first[1].split("\t")


def _broken_message(path: Path, broken: list[Row], expected: int) -> str:
    # Every broken line is named at once, so that one edit repairs the file.
    first, others = broken[0], [str(row.line) for row in broken[1:]]
    also = ""
    if others:
        more = f" and {len(others) - SHOWN_LINES} more" if len(others) > SHOWN_LINES else ""
        also = f" (wrong too: line {', '.join(others[:SHOWN_LINES])}{more})"
    return (
        f"{path}, line {first.line}: got {len(first.values)} columns, expected {expected}{also}; a tab or line break "
        "inside a text cuts a row, so join its parts or delete them (the QQP download is known to have a few such "
        "rows, and the hub's copy leaves them out)"
    )
