"""Cleaning removes only what no process works on."""

from __future__ import annotations

from pathlib import Path

import pytest
from filelock import FileLock

from xtc_study.runs import lease
from xtc_study.runs.cleanup import leftovers, remove


def test_failed_runs_and_what_killed_trainings_left(tmp_path: Path) -> None:
    runs, steps = tmp_path / "runs", tmp_path / "steps"
    for folder in (
        runs / "bad",
        runs / "good",
        steps / "a",
        steps / "b.partial",
        steps / "b.checkpoints",
        steps / "d.unreadable",
    ):
        folder.mkdir(parents=True)
        (folder / "file").write_text("x")
    for name in ("c.partial", "c.checkpoints"):
        (steps / name).mkdir()
    with FileLock(steps / "c.lock"):
        found = leftovers(tmp_path, ["bad", "gone"])
    assert found == [runs / "bad", steps / "b.checkpoints", steps / "b.partial", steps / "d.unreadable"]
    remove(found)
    assert sorted(path.name for path in runs.iterdir()) == ["good"]
    assert {"a", "c.partial", "c.checkpoints"} <= {path.name for path in steps.iterdir()}


def test_a_run_somebody_is_at_stays(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "bad"
    folder.mkdir(parents=True)
    (folder / "claim.json").write_text("{}")
    with FileLock(folder / "claim.lock"):
        assert leftovers(tmp_path, ["bad"]) == []
    assert leftovers(tmp_path, ["bad"]) == [folder]


def test_a_run_of_a_dead_machine_goes_after_a_watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "STALE_SECONDS", 0.2)
    monkeypatch.setattr(lease, "LOOK_SECONDS", 0.05)
    folder, said = tmp_path / "runs" / "bad", []
    folder.mkdir(parents=True)
    (folder / "claim.json").write_text('{"token": "t", "host": "a-dead-machine"}')
    assert leftovers(tmp_path, ["bad"], said.append) == [folder]
    assert len(said) == 1 and "a-dead-machine" in said[0]
