"""Read rows of your own CSV, TSV, JSON-lines or Parquet file, each with the line number that an editor shows."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from xtc_study.tasks.dialect import Quotes, quotes_of
from xtc_study.tasks.lines import column_places, numbered_lines
from xtc_study.tasks.task import DataError


class Rows(NamedTuple):
    """The requested columns of a file."""

    unit: str
    """What the numbers count: ``line`` of a text file, from 1 (a row of several lines has its first), or ``row``."""
    numbers: list[int]
    columns: list[list[Any]]
    """One list per column, in the order requested. CSV and TSV give text, the others their own types."""
    quotes: Quotes = Quotes(False)
    """How the quotes of a .tsv file were read, and how many texts leave that in doubt."""


def read_rows(path: Path, columns: Sequence[str], quoting: str | None = None) -> Rows:
    """Return the named columns of a file; its extension decides the format.

    ``.csv`` is comma-separated, with texts in double quotes where necessary (RFC 4180); ``.tsv`` is tab-separated,
    with or without such quotes; both begin with a line of column names. ``.jsonl`` has one object per line.

    Args:
        path: the file.
        columns: the names of the columns to return.
        quoting: for .tsv files: ``csv``, ``none`` (a quote is a plain character), or None to detect it
            (``dialect.quotes_of``).

    Raises:
        DataError: no such file, an unknown extension, a column that does not occur exactly once, a row of another
            length, text that is not UTF-8, or no rows. The message names the file, the line and the fix.
    """
    readers = {".csv": _csv, ".tsv": _tsv, ".jsonl": _json_lines, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: unknown file type, expected {', '.join(readers)}; save the data as one of these")
    if not path.is_file():
        raise DataError(f"{path}: no such file; a path in a description is relative to the description's folder")

    quotes = Quotes(False)
    if reader is not _parquet:
        _check_line_ends(path)
    if reader is _tsv:
        quotes = quotes_of(path) if quoting is None else Quotes(quoting == "csv")
        reader = _quoted_tsv if quotes.are_csv else _tsv

    numbers, rows = reader(path, columns)
    if not rows:
        raise DataError(f"{path}: no rows; expected at least one")
    unit = "row" if reader is _parquet else "line"
    return Rows(unit, numbers, [[row[place] for row in rows] for place in range(len(columns))], quotes)


def _check_line_ends(path: Path) -> None:
    """Refuse a file whose lines end only in carriage returns: it would be read as one line."""
    with path.open("rb") as file:
        first = file.readline().removesuffix(b"\n").removesuffix(b"\r")
    if b"\r" in first:
        raise DataError(
            f"{path}, line 1: contains a carriage return before its end; its lines seem to end only in carriage "
            "returns (as old Macintosh programs and Excel's 'CSV (Macintosh)' write them): save it with LF or CR LF "
            "line ends"
        )


def _csv(path: Path, columns: Sequence[str]) -> tuple[list[int], list[Sequence[Any]]]:
    reader = csv.reader((line for _, line in numbered_lines(path)), strict=True)
    hint = (
        "enclose a text that contains a comma, a quote or a line break in double quotes, and double the quotes in it"
    )
    return _table(path, columns, _numbered(path, reader, hint), hint)


def _tsv(path: Path, columns: Sequence[str]) -> tuple[list[int], list[Sequence[Any]]]:
    lines = ((number, line.rstrip("\r\n").split("\t")) for number, line in numbered_lines(path))
    hint = (
        "a text in a .tsv file without quoting cannot contain a tab or a line break; remove them, save the data as "
        ".csv or .jsonl, or, if its quotes are CSV quoting, set quoting: csv in the description"
    )
    return _table(path, columns, (row for row in lines if row[1] != [""]), hint)


def _quoted_tsv(path: Path, columns: Sequence[str]) -> tuple[list[int], list[Sequence[Any]]]:
    reader = csv.reader((line for _, line in numbered_lines(path)), delimiter="\t", strict=True)
    hint = (
        "its quotes are read as CSV quoting: enclose a text that contains a tab, a quote or a line break in double "
        "quotes, and double the quotes in it (quoting: none in the description reads them as plain characters)"
    )
    return _table(path, columns, _numbered(path, reader, hint), hint)


def _numbered(path: Path, reader: Any, hint: str) -> Iterator[tuple[int, list[str]]]:
    start = 1
    try:
        for row in reader:
            if row:
                yield start, row
            start = reader.line_num + 1
    except csv.Error as error:
        if "field larger" in str(error):
            hint = f"a text has more than {csv.field_size_limit():,} characters, or begins with a quote that is never "
            hint += "closed; shorten the text, or double the quotes in it"
        if "new-line character" in str(error):
            hint = "a carriage return inside a line is not quoted; remove it, or quote the text"
        raise DataError(f"{path}, line {start}: not CSV ({error}); {hint}") from None


def _table(
    path: Path, columns: Sequence[str], rows: Iterable[tuple[int, list[str]]], hint: str
) -> tuple[list[int], list[Sequence[Any]]]:
    numbers: list[int] = []
    selected: list[Sequence[Any]] = []
    names: list[str] = []
    for number, row in rows:
        if not names:
            names = row
            places = column_places(path, names, columns)
        elif len(row) != len(names):
            raise DataError(f"{path}, line {number}: {len(row)} columns, expected {len(names)} as in line 1; {hint}")
        else:
            numbers.append(number)
            selected.append([row[place] for place in places])
    return numbers, selected


def _json_lines(path: Path, columns: Sequence[str]) -> tuple[list[int], list[Sequence[Any]]]:
    numbers: list[int] = []
    selected: list[Sequence[Any]] = []
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}, line {number}: not JSON ({error}); expected one object per line") from None
        if not isinstance(row, dict):
            raise DataError(
                f"{path}, line {number}: {line.strip()[:60]!r}, expected an object, {{...}}, on every line"
            )
        for column in columns:
            if column not in row:
                raise DataError(f"{path}, line {number}: no field {column!r}, it has {', '.join(map(repr, row))}")
            _check_text(path, number, column, row[column])
        numbers.append(number)
        selected.append([row[column] for column in columns])
    return numbers, selected


def _check_text(path: Path, number: int, column: str, value: Any) -> None:
    """Refuse half of a surrogate pair, which JSON can write but which is not a character that can be stored."""
    half = next((char for char in value if "\ud800" <= char <= "\udfff"), "") if isinstance(value, str) else ""
    if half:
        raise DataError(
            f"{path}, line {number}, column {column!r}: \\u{ord(half):04x} is half of a surrogate pair; write "
            "the whole pair or remove it"
        )


def _parquet(path: Path, columns: Sequence[str]) -> tuple[list[int], list[Sequence[Any]]]:
    import pyarrow.parquet as pq

    try:
        names = pq.read_schema(path).names
        for column in columns:
            if column not in names:
                raise DataError(f"{path}: no column {column!r}, it has {', '.join(map(repr, names))}")
        table = pq.read_table(path, columns=list(dict.fromkeys(columns)))
    except (OSError, ValueError) as error:  # pyarrow's errors are one or the other
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: not a readable Parquet file ({error})") from None
    rows = list(zip(*(table.column(column).to_pylist() for column in columns), strict=True))
    return list(range(1, len(rows) + 1)), [list(row) for row in rows]
