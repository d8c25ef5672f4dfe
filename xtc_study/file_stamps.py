"""Stamps that show whether a file may have changed, for the key of a cache of file contents."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class FileStamp(NamedTuple):
    """Path, size and time of a file; equal stamps are taken to mean equal content."""

    path: Path
    size: int
    """In bytes; 0 where the file is missing."""
    modified_ns: int


def file_stamps(files: Iterable[Path]) -> tuple[FileStamp, ...]:
    """Return the stamp of each file, in order. As arguments of a cached function they make it reread changed files."""
    return tuple(map(_stamp, files))


def _stamp(file: Path) -> FileStamp:
    try:
        status = file.stat()
    except OSError:
        return FileStamp(file, 0, 0)
    return FileStamp(file, status.st_size, status.st_mtime_ns)
