from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from xtc_study.atomic import publish_file, replacing, write_file


@pytest.mark.parametrize("write", [write_file, publish_file], ids=["write", "publish"])
@pytest.mark.parametrize("content", ["naïve\n", b"\0\xff"], ids=["text", "bytes"])
def test_content_takes_the_old_files_place(
    write: Callable[[Path, str | bytes], Path], content: str | bytes, tmp_path: Path
) -> None:
    file = tmp_path / "a.json"
    file.write_text("old")
    assert write(file, content) == file
    assert file.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("several_writers", [False, True])
def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(several_writers: bool, tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(file, several_writers) as partial:
        partial.write_text("half")
        assert file.read_text() == "old"
        raise KeyboardInterrupt
    assert file.read_text() == "old" and os.listdir(tmp_path) == ["a"]


def test_several_writers_do_not_share_a_path(tmp_path: Path) -> None:
    file = tmp_path / "a"
    with replacing(file, several_writers=True) as one, replacing(file, several_writers=True) as other:
        assert len({one, other, file}) == 3
        one.write_text("first")
        other.write_text("second")
    assert file.read_text() == "first", "the outer block ended last"


def test_a_reader_never_sees_half(tmp_path: Path) -> None:
    file, whole = tmp_path / "a", {"a" * 200_000, "b" * 200_000}
    write_file(file, "a" * 200_000)

    def write() -> None:
        for turn in range(50):
            write_file(file, "ab"[turn % 2] * 200_000)

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        assert file.read_text() in whole
    writer.join()


def test_what_is_asked_to_be_on_the_disk_is_synced_before_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, rename = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (done.append("sync"), sync(handle)))
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append("rename"), rename(*paths)))
    write_file(tmp_path / "a", "x", to_disk=True)
    write_file(tmp_path / "a", "x")
    assert done == ["sync", "rename", "rename"]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_page_is_for_everyone_and_other_files_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        page, file = publish_file(tmp_path / "new" / "page.html", "x"), write_file(tmp_path / "file", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE(page.stat().st_mode) == 0o644
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
