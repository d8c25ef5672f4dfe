"""Writes files under a temporary name and renames them into place: a reader sees the old file or the new one."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path, several_writers: bool = False) -> Iterator[Path]:
    """Give a temporary path in the same folder; rename it over ``path`` if the block succeeds, remove it if not.

    Args:
        path: the file to replace.
        several_writers: whether other processes may write the same file now, without a lock: each then has a path of
            its own. Otherwise the path is always the same, so that killed processes leave at most one such file.
    """
    partial = path.with_name(f"{path.name}.partial")
    if several_writers:
        partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        yield partial
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_file(path: Path, content: str | bytes, to_disk: bool = False) -> Path:
    """Write a file and return its path.

    Args:
        path: the file; an old one is replaced.
        content: text is written as UTF-8.
        to_disk: wait until the content is on the disk before the rename, so that a power cut leaves no empty file.
    """
    with replacing(path) as partial, partial.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        if to_disk:
            file.flush()
            os.fsync(file.fileno())
    return path


def publish_file(path: Path, content: str | bytes) -> Path:
    """Write a file that every user may read (mode 644), and its folder if it is missing. Text is written as UTF-8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, several_writers=True) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
        partial.chmod(0o644)
    return path
