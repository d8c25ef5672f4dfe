from __future__ import annotations

from pathlib import Path

import pytest

from xtc_study.tasks.lines import column_places, numbered_lines
from xtc_study.tasks.task import DataError


def lines(folder: Path, content: bytes) -> list[tuple[int, str]]:
    path = folder / "a.txt"
    path.write_bytes(content)
    return list(numbered_lines(path))


def test_only_a_line_feed_ends_a_line(tmp_path: Path) -> None:
    text = "a\rb\u2028c\x0bd\r\nlast"
    assert lines(tmp_path, text.encode()) == [(1, "a\rb\u2028c\x0bd\r\n"), (2, "last")]


def test_a_byte_order_mark_is_dropped_at_the_start_alone(tmp_path: Path) -> None:
    assert lines(tmp_path, "\ufeffa\n\ufeffb".encode()) == [(1, "a\n"), (2, "\ufeffb")]


def test_error_names_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.txt, line 2: not UTF-8 \(byte 0xe9 at byte 4 of the line\); save the"):
        lines(tmp_path, b"ok\ncaf\xe9\n")


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    assert column_places(tmp_path, ["a", "b", "c"], ["c", "a"]) == [2, 0]
    with pytest.raises(DataError, match=r"line 1: no column 'x', expected one; the first line names 'a', 'b'; do"):
        column_places(tmp_path, ["a", "b"], ["a", "x"], "; do this")
    with pytest.raises(DataError, match="line 1: 2 columns 'a', expected one"):
        column_places(tmp_path, ["a", "b", "a"], ["a"])
