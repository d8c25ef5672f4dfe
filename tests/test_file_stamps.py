from __future__ import annotations

import os
from pathlib import Path

from xtc_study.file_stamps import FileStamp, file_stamps


def test_a_stamp_changes_with_the_file(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("abc")
    os.utime(one, ns=(5, 7))
    assert file_stamps([one, other]) == (FileStamp(one, 3, 7), FileStamp(other, 0, 0))
    before = file_stamps([one])
    assert file_stamps([one]) == before
    one.write_text("abd")
    os.utime(one, ns=(5, 8))
    assert file_stamps([one]) != before, "of the same size, at another time"
    one.write_text("abde")
    os.utime(one, ns=(5, 7))
    assert file_stamps([one]) != before, "at the same time, of another size"
