from __future__ import annotations

from pathlib import Path

import pytest
from fabricate import do, plan, write

from xtc_study.analysis.collect import collect
from xtc_study.report.stale import stale_runs

OLD, NEW = "2026-05-04T10:00:00+00:00", "2026-05-05T10:00:00+00:00"


def made(runs: Path, *of: tuple[str, str | None, str]) -> tuple[list[str], dict[str, str]]:
    """Runs with a version, a commit and a start; their ids and what is said of them."""
    planned = plan({"1-bit": 1}, ("toy-pairs",), seeds=len(of))
    for run, (version, commit, started) in zip(planned, of, strict=True):
        folder = do(runs, run)
        packages = {"xtc-study": version} if version else {}
        write(folder / "environment.json", {"device": "cpu", "commit": commit, "packages": packages})
        write(folder / "status.json", {"state": "done", "started": started, "duration_s": 1.0})
    return [run.run_id for run in planned], stale_runs(collect(runs, planned))


def test_another_version_or_commit_than_the_newest_is_stale(tmp_path: Path) -> None:
    ids, found = made(tmp_path, ("1.0", "aaa", NEW), ("0.9", "aaa", OLD), ("1.0", "bbb", OLD), ("1.0", "aaa", OLD))
    assert found == {
        ids[1]: "version 0.9, the newest run 1.0",
        ids[2]: "commit bbb, the newest run aaa",
    }


@pytest.mark.parametrize("newest", [("", None, NEW), ("1.0", None, NEW)])
def test_what_was_not_recorded_is_not_compared(tmp_path: Path, newest: tuple[str, str | None, str]) -> None:
    _, found = made(tmp_path, newest, ("1.0", "aaa", OLD))
    assert found == {}


def test_the_newest_is_the_last_to_start_and_nothing_is_stale_alone(tmp_path: Path) -> None:
    ids, found = made(tmp_path, ("1.0", "aaa", OLD), ("0.9", "aaa", NEW))
    assert list(found) == [ids[0]]
    assert stale_runs(collect(tmp_path / "none", plan())) == {}
