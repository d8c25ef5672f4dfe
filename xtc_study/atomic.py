"""Files written beside and renamed into place: a reader sees the old file or the new one, never half of it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path, several_writers: bool = False) -> Iterator[Path]:
    """A path beside ``path`` to write to. It is renamed over ``path`` if the block ends well, and removed if not.

    Args:
        several_writers: whether others may be writing the same file now, without a lock: each then has a path of its
            own. Otherwise the path is always the same, so that killed processes leave one such file at most.
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
    """The file with this content; text as UTF-8.

    Args:
        to_disk: wait until the disk has it before the rename, so that a power cut leaves no empty file either.
    """
    with replacing(path) as partial, partial.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        if to_disk:
            file.flush()
            os.fsync(file.fileno())
    return path


def publish_file(path: Path, content: str | bytes) -> Path:
    """A page for everyone to read (mode 644), its folder made where it is not there; text as UTF-8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, several_writers=True) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
        partial.chmod(0o644)
    return path
