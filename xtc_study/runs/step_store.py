"""Stores trained steps: one folder per address, made once, shared by every run that needs it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock

from xtc_study.errors import first_line


class DamagedStepError(RuntimeError):
    """A step whose files can no longer be used."""


class UnreadableStepError(RuntimeError):
    """A step whose files do not read back as they were written. Making it again would end the same way."""


FAILURE = "failure.json"
"""File in the folder ``<address>.unreadable`` with the reason why the step cannot be read."""


class StepStore:
    """Folders ``root/<address>``, each complete or absent: a step is written elsewhere and renamed when finished."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, address: str) -> Path:
        return self.root / address

    def is_done(self, address: str) -> bool:
        """Return whether the step is finished. If its step.json cannot be read, it is not, and will be rebuilt."""
        return _read(self.folder(address) / "step.json") is not None

    def checkpoints(self, address: str) -> Path:
        """Return the folder for checkpoints of a training in progress. They are kept only if the process is killed."""
        return self.root / f"{address}.checkpoints"

    def unreadable(self, address: str) -> Path:
        """Return the folder that keeps the files of an unreadable step, as evidence."""
        return self.root / f"{address}.unreadable"

    def check_readable(self, address: str) -> None:
        """Check that the step was not found unreadable by an earlier run.

        Raises:
            UnreadableStepError: it was; the message includes that run's reason.
        """
        path = self.unreadable(address) / FAILURE
        if not path.is_file():
            return
        reason = (_read(path) or {}).get("reason", f"{path} cannot be read either")
        raise UnreadableStepError(
            f"step {address} was made before, but its files do not read back as they were written ({reason}). It is "
            f"not made again, since that would end the same way. Its files are kept in {path.parent}; with another "
            "version of transformers or xtc-study, remove that folder (xtc-study clean also removes it) and run again"
        )

    def once(self, address: str, make: Callable[[Path], dict[str, Any]]) -> tuple[Path, bool]:
        """Return the step's folder, and whether this call made it.

        If several processes need the same step, one makes it and the others wait. If ``make`` fails, nothing is kept
        and the next caller tries again; if it is killed or interrupted, its checkpoints are kept. If it raises
        UnreadableStepError, its files are kept in ``unreadable`` and the step is not made again.

        Between machines this needs a file system that shares locks; runs do not (docs/cluster.md).

        Args:
            address: of the step.
            make: fills the empty folder it is given and returns the content of step.json.

        Raises:
            UnreadableStepError: the files of the step do not read back, now or in an earlier run.
        """
        folder = self.folder(address)
        if self.is_done(address):
            return folder, False
        self.root.mkdir(parents=True, exist_ok=True)

        # One process makes the step; the others wait here and then find it finished.
        with FileLock(self.root / f"{address}.lock"):
            if self.is_done(address):
                return folder, False
            self.check_readable(address)

            # Made under another name and renamed, so that the folder is complete or absent.
            partial = self.root / f"{address}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            try:
                record = make(partial)
                (partial / "step.json").write_text(json.dumps(record, indent=1, sort_keys=True))
                shutil.rmtree(folder, ignore_errors=True)
                os.replace(partial, folder)
                shutil.rmtree(self.checkpoints(address), ignore_errors=True)
            except UnreadableStepError as error:
                (partial / FAILURE).write_text(json.dumps({"reason": str(error)}, indent=1))
                shutil.rmtree(self.unreadable(address), ignore_errors=True)
                os.replace(partial, self.unreadable(address))
                shutil.rmtree(self.checkpoints(address), ignore_errors=True)
                self.check_readable(address)
            except Exception:
                shutil.rmtree(self.checkpoints(address), ignore_errors=True)
                raise
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        return folder, True

    def records(self) -> dict[str, dict[str, Any]]:
        """Return the step.json of every finished step, by address."""
        paths = (path for path in sorted(self.root.glob("*/step.json")) if path.parent.suffix != ".partial")
        records = {path.parent.name: _read(path) for path in paths}
        return {address: record for address, record in records.items() if record is not None}

    def record(self, address: str) -> dict[str, Any]:
        """Return the step.json of a finished step.

        Raises:
            KeyError: there is no such step, or its step.json cannot be read.
        """
        record = _read(self.folder(address) / "step.json")
        if record is None:
            raise KeyError(f"step {address} is not finished")
        return record

    def discard(self, address: str) -> None:
        """Mark a damaged step as not finished, so that the next run that needs it rebuilds it."""
        (self.folder(address) / "step.json").unlink(missing_ok=True)

    def damaged(self, address: str, title: str, error: Exception) -> DamagedStepError:
        """Discard a damaged step and return the exception to raise, which names the step and the reason."""
        self.discard(address)
        return DamagedStepError(
            f"step {address} ({title}) is damaged; the next run will rebuild it: {first_line(error)}"
        )


def _read(path: Path) -> dict[str, Any] | None:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None
