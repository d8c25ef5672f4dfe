"""The lines of a UTF-8 file, cut at line feeds alone: what else Python takes for a line's end stays in the text."""

from __future__ import annotations

from collections.abc import Iterator
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
