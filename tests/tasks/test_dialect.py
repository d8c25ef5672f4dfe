"""Quotes in a .tsv file: CSV quoting if a program wrote them, plain characters if a person did."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest

from xtc_study.tasks.dialect import Quotes, quotes_of
from xtc_study.tasks.rows import read_rows
from xtc_study.tasks.task import DataError
from xtc_study.tasks.user.dataset import OwnData, read_own

TEXTS = ["plain", 'a "quoted" one', "a\ttab", "two\nlines", '"all of it"', "'"]


def own(folder: Path, more: str = "") -> OwnData:
    path = folder / "my.yml"
    path.write_text(f"name: n\nfiles: {{train: train.tsv, dev: dev.tsv}}\ntext: text\nlabel: y\n{more}")
    return read_own(path)


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
def test_pandas_output_is_read_back(quoting: int, tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": TEXTS, "y": [0, 1, 0, 1, 0, 1]})
    frame.to_csv(tmp_path / "a.tsv", sep="\t", index=False, quoting=quoting)
    rows = read_rows(tmp_path / "a.tsv", ["text", "y"])
    assert rows.columns == [TEXTS, ["0", "1", "0", "1", "0", "1"]] and rows.quotes == Quotes(True)
    assert rows.numbers == [2, 3, 4, 5, 7, 8], "a row counts from its first line"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('text\ty\n"open\t1\n', Quotes(False)),
        ('text\ty\nsay "hi" to ""them""\t1\n', Quotes(False)),
        ('text\ty\n"a ""b"" c"\t1\nx "y\t0\n', Quotes(False)),
        ('text\ty\n"I love it"\t1\nok\t0\n', Quotes(False, in_doubt=1)),
        ('text\ty\n"a ""b"" c"\t1\nok\t0\n', Quotes(True)),
        ('"text"\t"y"\r\n"ok"\t"0"\r\n', Quotes(True)),
        ('text\ty\n"ok, so"\t0\n"' + "never closed " * 20_000 + "\t1\n", Quotes(False)),
        ("text\ty\na\rb\t1\n", Quotes(False)),
        ('text\ty\n"I came.\t1\nfine\t0\nI saw."\t1\n', Quotes(False)),
        ('text\ty\n"I came.\nI saw."\t1\nfine\t0\n', Quotes(True)),
    ],
)
def test_quoting_is_detected(content: str, expected: Quotes, tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text(content, newline="")
    assert quotes_of(tmp_path / "a.tsv") == expected


def test_description_overrides_detected_quoting(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text('text\ty\n"so ""good"""\tyes\nbad\tno\n')
    (tmp_path / "dev.tsv").write_text('text\ty\n"I love it"\tyes\n')
    seen, plain, quoted = own(tmp_path), own(tmp_path, "quoting: none"), own(tmp_path, "quoting: csv")
    assert seen.splits["train"].texts == [['so "good"', "bad"]] and seen.splits["dev"].texts == [['"I love it"']]
    assert seen.notes == (
        "train.tsv: double quotes are read as CSV quoting (quoting: none reads them as plain characters)",
        "dev.tsv: 1 field in double quotes, kept as part of the text (quoting: csv removes them)",
        "no row of dev has the label 'no': the scores of this split do not cover it",
    )
    assert plain.splits["train"].texts == [['"so ""good"""', "bad"]]
    assert quoted.splits["dev"].texts == [["I love it"]]
    assert len({data.task.name for data in (seen, plain, quoted)}) == 3, (
        "data that are read differently have another name"
    )


def test_task_name_stays_if_reading_did_not_change(tmp_path: Path) -> None:
    """The hash must equal that of version 0.1 (commit 0e5d90d), so that its runs are found."""
    (tmp_path / "train.tsv").write_text('text\ty\n"open\tyes\nb"b\tno\n')
    (tmp_path / "dev.tsv").write_text("text\ty\nwell\tyes\n")
    name = own(tmp_path).task.name
    assert name == own(tmp_path, "quoting: none").task.name == OLD_NAME


OLD_NAME = "own-n-2c99407146"


def test_quoting_errors_say_how_the_file_was_read(tmp_path: Path) -> None:
    for name in ("train", "dev"):
        (tmp_path / f"{name}.tsv").write_text(f'text\ty\n{name} "a\tb"\tyes\nbad\tno\n')
    with pytest.raises(DataError, match=r"train\.tsv, line 2: 3 columns, .*set quoting: csv in the desc"):
        own(tmp_path)
    with pytest.raises(DataError, match=r"train\.tsv, line 2: 3 columns, .*its quotes are read as CSV quoting"):
        own(tmp_path, "quoting: csv")
    (tmp_path / "my.yml").write_text("{name: n, files: {train: a.csv, dev: b.csv}, text: t, label: y, quoting: csv}")
    with pytest.raises(DataError, match=r"quoting: applies only to \.tsv files, and there are none"):
        read_own(tmp_path / "my.yml")


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
def test_lines_ending_only_in_carriage_returns_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes({"a.jsonl": b'{"x": "a"}\r{"x": "b"}\r'}.get(name, b"x\ty\ra\tb\rc\td\r"))
    with pytest.raises(DataError, match=rf"{name}, line 1: .*only in carriage returns .*save it with LF"):
        read_rows(tmp_path / name, ["x"])


def test_unquoted_carriage_return_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"x,y\na,b\nc\rd,e\n")
    with pytest.raises(DataError, match=r"a\.csv, line 3: not CSV .*a carriage return inside a line is not quoted"):
        read_rows(tmp_path / "a.csv", ["x"])
    (tmp_path / "a.csv").write_bytes(b'x,y\r\n"c\rd",e\r\n')
    assert read_rows(tmp_path / "a.csv", ["x"]).columns == [["c\rd"]]
