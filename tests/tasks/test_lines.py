from __future__ import annotations

from pathlib import Path

import pytest

from xtc_study.tasks.lines import numbered_lines
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


def test_other_bytes_than_utf_8_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.txt, line 2: not UTF-8 \(byte 0xe9 at byte 4 of the line\); save the"):
        lines(tmp_path, b"ok\ncaf\xe9\n")
