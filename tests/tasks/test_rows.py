"""Files of every format give the same rows, and errors name the line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xtc_study.tasks.rows import read_rows
from xtc_study.tasks.task import DataError

TEXTS = ["plain", 'a "quoted" word, and a comma', "two\nlines", "a\u2028separator", "ümlaut"]


def test_csv_preserves_quotes_commas_and_line_breaks(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    quoted = [text.replace('"', '""') for text in TEXTS]
    lines = "".join(f'{number},"{text}"\r\n' for number, text in enumerate(quoted))
    path.write_bytes(b"\xef\xbb\xbf" + f"id,text\r\n\r\n{lines}".encode())
    rows = read_rows(path, ["text", "id"])
    assert rows.columns == [TEXTS, ["0", "1", "2", "3", "4"]]
    assert rows.unit == "line" and rows.numbers == [3, 4, 5, 7, 8], "a row counts from its first line"


def test_tsv_reads_quotes_as_plain_characters(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(b'id\ttext\r\n1\t"open\r\n2\tb"b\n')
    assert read_rows(path, ["text"]).columns == [['"open', 'b"b']]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_typed_files_keep_their_types(kind: str, tmp_path: Path) -> None:
    path, labels = tmp_path / f"a.{kind}", [0, 1, 0, 1, 1]
    if kind == "jsonl":
        path.write_text("\n".join(json.dumps({"y": y, "x": x, "z": 1}) for x, y in zip(TEXTS, labels, strict=True)))
    else:
        pq.write_table(pa.table({"y": labels, "x": TEXTS, "z": labels}), path)
    rows = read_rows(path, ["x", "y"])
    assert rows.columns == [TEXTS, labels] and rows.numbers == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.csv",
            "x,y\na,b,c\n",
            r"a\.csv, line 2: 3 columns, expected 2 as in line 1; enclose a text that contains a comma",
        ),
        ("a.csv", 'x,y\n1,2\n"a"b,c\n', r"a\.csv, line 3: not CSV"),
        ("a.csv", 'x,y\n1,2\n"never closed,c\n1,2\n', r"a\.csv, line 3: not CSV"),
        ("a.csv", "z,y\na,b\n", r"a\.csv, line 1: no column 'x', expected one; the first line names 'z', 'y'"),
        ("a.csv", "x,x\na,b\n", r"line 1: 2 columns 'x', expected one"),
        ("a.csv", "x,y\n", r"a\.csv: no rows"),
        ("a.csv", "", r"a\.csv: no rows"),
        ("a.csv", b"x,y\nok,1\n\xff,2\n", r"line 3: not UTF-8 \(byte 0xff at byte 1 of the line\); save"),
        ("a.tsv", "x\ty\na\tb\tc\n", r"a\.tsv, line 2: 3 columns, expected 2 as in line 1; a text in a \.tsv"),
        ("a.jsonl", '{"x": "a"}\n{"x": \n', r"a\.jsonl, line 2: not JSON"),
        ("a.jsonl", '{"x": "a"}\n{"y": 1}\n', r"a\.jsonl, line 2: no field 'x', it has 'y'"),
        ("a.jsonl", "[1]\n", r"line 1: '\[1\]', expected an object"),
        pytest.param("a.jsonl", "[" * 100_000, r"a\.jsonl, line 1: not JSON", id="deep"),
        ("a.jsonl", '{"x": "a"}\n{"x": "so \\ud800"}\n', r"line 2, column 'x': \\ud800 is half of a surrogate pair"),
        pytest.param("a.csv", "x\n" + "a" * 131_073, r"line 2: not CSV .*a text has more than 131,072", id="long"),
        ("a.parquet", "text", r"a\.parquet: not a readable Parquet file"),
        ("a.pkl", "text", r"a\.pkl: unknown file type, expected \.csv, \.tsv, \.jsonl, \.parquet"),
        ("a.csv", None, r"a\.csv: no such file"),
    ],
)
def test_error_names_the_line_of_a_broken_file(name: str, content: Any, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message):
        read_rows(tmp_path / name, ["x"])


def test_error_names_a_missing_parquet_column(tmp_path: Path) -> None:
    pq.write_table(pa.table({"y": [1]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="no column 'x', it has 'y'"):
        read_rows(tmp_path / "a.parquet", ["x"])
