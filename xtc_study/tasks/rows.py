"""Rows of your own CSV, TSV, JSON-lines or Parquet file, each with the number under which an editor shows it."""

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
    """Some columns of a file."""

    unit: str
    """What the numbers count: ``line`` of a text file, from 1 (of a row of several lines: the first), or ``row``."""
    numbers: list[int]
    columns: list[list[Any]]
    """One list a column, in the order asked for. CSV and TSV give text; the others what they hold."""
    quotes: Quotes = Quotes(False)
    """Of a .tsv file: whether its quotes were read as CSV's, and how many texts leave that in doubt."""


def read_rows(path: Path, columns: Sequence[str], quoting: str | None = None) -> Rows:
    """The named columns of a file, whose ending says what it is.

    ``.csv`` is comma-separated with texts in double quotes where they need them (RFC 4180); ``.tsv`` is
    tab-separated, with or without such quotes; both begin with a line of column names. ``.jsonl`` has one object a
    line.

    Args:
        quoting: of .tsv files: ``csv``, ``none`` (a quote is a plain character), or None: what the file looks like
            (``dialect.quotes_of``).

    Raises:
        DataError: no such file, another ending, a column that is not there once, a row of another length, text that
            is not UTF-8, no rows. The message names file, line and fix.
    """
    readers = {".csv": _csv, ".tsv": _tsv, ".jsonl": _json_lines, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: expected a file that ends in {', '.join(readers)}; save the data as one of these")
    if not path.is_file():
        raise DataError(f"{path}: no such file; a path in a description starts from the description's own folder")
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
    """A file whose lines end in carriage returns alone would be read as one line."""
    with path.open("rb") as file:
        first = file.readline().removesuffix(b"\n").removesuffix(b"\r")
    if b"\r" in first:
        raise DataError(
            f"{path}, line 1: holds a carriage return before its end; its lines seem to end in carriage returns alone "
            "(as old Macintosh programs and Excel's 'CSV (Macintosh)' write them): save it with line ends LF or CR LF"
        )


def _csv(path: Path, columns: Sequence[str]) -> tuple[list[int], list[Sequence[Any]]]:
    reader = csv.reader((line for _, line in numbered_lines(path)), strict=True)
    hint = "put a text that holds a comma, a quote or a line break in double quotes, and double the quotes in it"
    return _table(path, columns, _numbered(path, reader, hint), hint)


def _tsv(path: Path, columns: Sequence[str]) -> tuple[list[int], list[Sequence[Any]]]:
    lines = ((number, line.rstrip("\r\n").split("\t")) for number, line in numbered_lines(path))
    hint = (
        "a text in a .tsv file without quotes can hold no tab and no line break; take them out, save the data as .csv "
        "or .jsonl, or, if its quotes are CSV's, say quoting: csv in the description"
    )
    return _table(path, columns, (row for row in lines if row[1] != [""]), hint)


def _quoted_tsv(path: Path, columns: Sequence[str]) -> tuple[list[int], list[Sequence[Any]]]:
    reader = csv.reader((line for _, line in numbered_lines(path)), delimiter="\t", strict=True)
    hint = (
        "its quotes are read as CSV's: a text that holds a tab, a quote or a line break is in double quotes, and the "
        "quotes in it are doubled (quoting: none in the description reads them as plain characters)"
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
            hint = f"a text has more than {csv.field_size_limit():,} characters, or begins with a quote that nothing "
            hint += "closes; cut the text, or double the quotes in it"
        if "new-line character" in str(error):
            hint = "a carriage return that ends no line stands outside quotes; take it out, or quote the text"
        raise DataError(f"{path}, line {start}: not CSV ({error}); {hint}") from None


def _table(
    path: Path, columns: Sequence[str], rows: Iterable[tuple[int, list[str]]], hint: str
) -> tuple[list[int], list[Sequence[Any]]]:
    numbers: list[int] = []
    found: list[Sequence[Any]] = []
    names: list[str] = []
    for number, row in rows:
        if not names:
            names = row
            places = column_places(path, names, columns)
        elif len(row) != len(names):
            raise DataError(f"{path}, line {number}: {len(row)} columns, expected {len(names)} as in line 1; {hint}")
        else:
            numbers.append(number)
            found.append([row[place] for place in places])
    return numbers, found


def _json_lines(path: Path, columns: Sequence[str]) -> tuple[list[int], list[Sequence[Any]]]:
    numbers: list[int] = []
    found: list[Sequence[Any]] = []
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}, line {number}: not JSON ({error}); expected one object a line") from None
        if not isinstance(row, dict):
            raise DataError(
                f"{path}, line {number}: {line.strip()[:60]!r}, expected an object, {{...}}, on every line"
            )
        for column in columns:
            if column not in row:
                raise DataError(f"{path}, line {number}: no {column!r}, it has {', '.join(map(repr, row))}")
            _check_text(path, number, column, row[column])
        numbers.append(number)
        found.append([row[column] for column in columns])
    return numbers, found


def _check_text(path: Path, number: int, column: str, value: Any) -> None:
    """JSON can write half of a surrogate pair, which is no character and cannot be stored or tokenised."""
    half = next((char for char in value if "\ud800" <= char <= "\udfff"), "") if isinstance(value, str) else ""
    if half:
        raise DataError(
            f"{path}, line {number}, column {column!r}: \\u{ord(half):04x} is half of a character; write the whole "
            "pair or take it out"
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
        raise DataError(f"{path}: not a Parquet file that can be read ({error})") from None
    rows = list(zip(*(table.column(column).to_pylist() for column in columns), strict=True))
    return list(range(1, len(rows) + 1)), [list(row) for row in rows]
