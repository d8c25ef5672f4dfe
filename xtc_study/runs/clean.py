"""What failed runs and killed trainings leave behind, and its removal. Nothing that somebody works on is touched."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from xtc_study.runs.claims import is_held


def leftovers(results: Path, bad_runs: Sequence[str]) -> list[Path]:
    """Folders that may go: those of the named runs, half-made steps, and checkpoints of trainings nobody is at."""
    found = [results / "runs" / run_id for run_id in bad_runs]
    found = [folder for folder in found if folder.is_dir() and not is_held(folder)]
    for folder in sorted((results / "steps").glob("*")):
        if folder.suffix in (".partial", ".checkpoints") and not _in_use(folder.with_suffix(".lock")):
            found.append(folder)
    return found


def remove(folders: Sequence[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _in_use(lock: Path) -> bool:
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True
