"""GLUE's TSV files are read exactly, and errors name the file and the line."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xtc_study.tasks.glue_tsv import Row, read_tsv
from xtc_study.tasks.task import DataError

HEADER = "index\tsentence\tlabel\n"


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "train.tsv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


TRAPS = {
    "unbalanced quote": 'He said "no.',
    "quote at the start": '"The pie business does not fit.',
    "only a quote": '"',
    "missing-value word": "NA",
    "empty": "",
    "spaces at the ends": "  it 's charming . ",
    "carriage return": "one\rtwo",
    "non-breaking space": "one\u00a0two",
    "line separator": "one\u2028two",
    "paragraph separator": "one\u2029two",
    "next line": "one\x85two",
    "vertical tab and form feed": "one\x0btwo\x0cthree",
    "file separator": "one\x1ctwo",
    "byte order mark inside": "\ufeffone",
    "backslash": "one\\ttwo\\",
    "beyond the basic plane": "é 漢 😀",
}


@pytest.mark.parametrize("text", TRAPS.values(), ids=TRAPS.keys())
def test_awkward_text_is_read_exactly_and_keeps_its_neighbours(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, f"{HEADER}0\t{text}\t1\n1\tthe next\t0\n")
    assert read_tsv(path, ["sentence", "label"]) == [Row(2, (text, "1")), Row(3, ("the next", "0"))]


@pytest.mark.parametrize("text", TRAPS.values(), ids=TRAPS.keys())
def test_awkward_text_in_the_last_column_is_read_exactly(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, f"label\tsentence\n1\t{text}\n0\tthe next\n")
    assert [row.values for row in read_tsv(path, ["sentence"])] == [(text,), ("the next",)]


def test_awkward_text_in_the_first_column_is_read_exactly(tmp_path: Path) -> None:
    pairs = [(text, "1") for text in TRAPS.values()]
    path = write(tmp_path, "sentence\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in pairs))
    assert [row.values for row in read_tsv(path, ["sentence", "label"])] == pairs


# A row ends at "\n" and a column at "\t"; surrogates alone cannot be written as UTF-8.
texts = st.text(alphabet=st.characters(exclude_characters="\t\n", exclude_categories=["Cs"]))


@settings(deadline=None)  # it writes files, and a busy disk is no failure
@given(st.lists(st.tuples(texts, texts), min_size=1))
def test_written_rows_are_read_back(pairs: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = "".join(f"{first}\t{second}\t0\n" for first, second in pairs)
        path = write(Path(folder), f"sentence1\tsentence2\tlabel\n{rows}")
        read = read_tsv(path, ["sentence1", "sentence2"])
    assert [row.values for row in read] == pairs
    assert [row.line for row in read] == list(range(2, len(pairs) + 2))


def test_columns_are_returned_by_name_in_the_requested_order(tmp_path: Path) -> None:
    path = write(tmp_path, "label\tnote\tsentence\n1\tx\tyes\n")
    assert read_tsv(path, ["sentence", "label"]) == [Row(2, ("yes", "1"))]


def test_a_file_without_header_starts_at_line_1(tmp_path: Path) -> None:
    path = write(tmp_path, "gj04\t1\t\tThe sailors rode.\ngj04\t0\t*\tThe rode sailors.\n")
    rows = read_tsv(path, ["sentence", "label"], ("source", "label", "star", "sentence"))
    assert rows == [Row(1, ("The sailors rode.", "1")), Row(2, ("The rode sailors.", "0"))]


def test_byte_order_mark_and_windows_line_ends_are_dropped(tmp_path: Path) -> None:
    path = write(tmp_path, b"\xef\xbb\xbfsentence\tlabel\r\nyes\t1\r\nno\t0")
    assert [row.values for row in read_tsv(path, ["sentence", "label"])] == [("yes", "1"), ("no", "0")]


def test_only_one_trailing_carriage_return_is_dropped(tmp_path: Path) -> None:
    path = write(tmp_path, "label\tsentence\n1\tyes\r\r\n")
    assert read_tsv(path, ["sentence"]) == [Row(2, ("yes\r",))]


def message(path: Path, header: tuple[str, ...] | None = None) -> str:
    with pytest.raises(DataError) as caught:
        read_tsv(path, ["sentence", "label"], header)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_error_names_a_missing_file(tmp_path: Path) -> None:
    assert "no such file" in message(tmp_path / "train.tsv")


def test_a_folder_in_place_of_the_file_counts_as_missing(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").mkdir()
    assert "no such file" in message(tmp_path / "train.tsv")


@pytest.mark.parametrize(("row", "got"), [("1\tx", 2), ("1\tx\ty\t0", 4), ("", 1)], ids=["short", "long", "blank"])
def test_error_names_a_row_of_another_width_with_both_counts(tmp_path: Path, row: str, got: int) -> None:
    path = write(tmp_path, f"{HEADER}0\tgood\t1\n{row}\n2\tgood\t0\n")
    assert f", line 3: got {got} columns, expected 3;" in message(path)


def test_error_lists_every_broken_row(tmp_path: Path) -> None:
    path = write(tmp_path, f"{HEADER}0\tgood\t1\n1\tcut\nhere\t0\n3\tgood\t0\n" + "x\n" * 12)
    text = message(path)
    assert (
        ", line 3: got 2 columns, expected 3 (also wrong: line 4, 6, 7, 8, 9, 10, 11, 12, 13, 14 and 3 more)" in text
    )
    assert "join its parts or delete them" in text


def test_error_lists_the_header_if_a_column_is_missing(tmp_path: Path) -> None:
    text = message(write(tmp_path, "index\ttext\tlabel\n0\tx\t1\n"))
    assert "line 1: no column 'sentence', expected one; the first line names 'index', 'text', 'label'; check" in text


def test_a_header_with_a_needed_column_twice_is_refused(tmp_path: Path) -> None:
    assert "line 1: 2 columns 'label'" in message(write(tmp_path, "sentence\tlabel\tlabel\nx\t1\t0\n"))


def test_error_names_the_line_of_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER.encode() + b"0\tgood\t1\n1\tcaf\xe9\t0\n")
    assert ", line 3: not UTF-8 (byte 0xe9 at byte 6 of the line)" in message(path)


def test_a_utf16_file_is_refused_at_its_first_line(tmp_path: Path) -> None:
    assert ", line 1: not UTF-8" in message(write(tmp_path, HEADER.encode("utf-16")))


def test_a_file_with_a_header_and_no_rows_is_refused(tmp_path: Path) -> None:
    assert "no rows (nothing follows the header on line 1)" in message(write(tmp_path, HEADER))


def test_an_empty_file_is_refused_with_and_without_a_header_of_its_own(tmp_path: Path) -> None:
    path = write(tmp_path, b"")
    assert "line 1: the file is empty, expected a header" in message(path)
    assert "no rows (the file is empty)" in message(path, ("sentence", "label"))
