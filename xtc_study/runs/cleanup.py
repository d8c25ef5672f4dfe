"""Finds and removes what failed runs and killed trainings leave behind. Nothing in use is touched."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from xtc_study.runs.lease import is_held, watch


def leftovers(results: Path, bad_runs: Sequence[str], say: Callable[[str], None] = print) -> list[Path]:
    """List the folders that can be removed: named runs, incomplete or unreadable steps, abandoned checkpoints.

    Args:
        results: the results folder.
        bad_runs: ids of runs to remove, unless a process holds them.
        say: receives a line for each lease of another machine, whose heartbeat is watched for up to 90 seconds.
    """
    folders = [folder for run_id in bad_runs if (folder := results / "runs" / run_id).is_dir()]
    watch(folders, say)
    folders = [folder for folder in folders if not is_held(folder)]
    for folder in sorted((results / "steps").glob("*")):
        if folder.suffix in (".partial", ".checkpoints", ".unreadable") and not _in_use(folder.with_suffix(".lock")):
            folders.append(folder)
    return folders


def remove(folders: Sequence[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _in_use(lock: Path) -> bool:
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True
