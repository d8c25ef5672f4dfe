"""What tells that a file may have changed: part of the key of a cache of what was read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class FileStamp(NamedTuple):
    """A file as its folder lists it; two equal stamps are taken for the same content."""

    path: Path
    size: int
    """Bytes; 0 where the file is not there."""
    modified_ns: int


def file_stamps(files: Iterable[Path]) -> tuple[FileStamp, ...]:
    """Of each file, in their order: for a function under ``lru_cache``, which then reads changed files again."""
    return tuple(map(_stamp, files))


def _stamp(file: Path) -> FileStamp:
    try:
        about = file.stat()
    except OSError:
        return FileStamp(file, 0, 0)
    return FileStamp(file, about.st_size, about.st_mtime_ns)
