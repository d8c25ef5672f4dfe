"""Where trained steps are kept: one folder an address, made once, shared by every run that needs it."""

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
    """A step whose files cannot be used any more."""


class UnreadableStepError(RuntimeError):
    """A step whose files do not give back what was written. Making it again would end the same way."""


FAILURE = "failure.json"
"""In the folder ``<address>.unreadable``: why the step cannot be read."""


class StepStore:
    """Folders ``root/<address>``, each complete or absent: made beside and renamed into place when finished."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, address: str) -> Path:
        return self.root / address

    def is_done(self, address: str) -> bool:
        """Whether the step is there; one whose step.json cannot be read is not, and will be made again."""
        return _read(self.folder(address) / "step.json") is not None

    def checkpoints(self, address: str) -> Path:
        """Where a training in progress keeps its checkpoints. They outlive a killed process and nothing else."""
        return self.root / f"{address}.checkpoints"

    def unreadable(self, address: str) -> Path:
        """Where the files of a step that cannot be read back are kept, as evidence."""
        return self.root / f"{address}.unreadable"

    def check_readable(self, address: str) -> None:
        """Checks that the step was not made before and found unreadable.

        Raises:
            UnreadableStepError: it was; the message has the reason of the run that made it.
        """
        path = self.unreadable(address) / FAILURE
        if not path.is_file():
            return
        reason = (_read(path) or {}).get("reason", f"{path} cannot be read either")
        raise UnreadableStepError(
            f"step {address} was made before and its files do not give back what was written ({reason}). It is not "
            f"made again, for that would end the same way. Its files are kept in {path.parent}; with another version "
            "of transformers or xtc-study, remove that folder and run again (xtc-study clean removes it too)"
        )

    def once(self, address: str, make: Callable[[Path], dict[str, Any]]) -> tuple[Path, bool]:
        """The step's folder, and whether this call made it.

        ``make(folder)`` fills an empty folder and returns the content of step.json. When several processes need the
        same step, one makes it and the others wait for it. If ``make`` fails nothing is kept and the next caller
        tries again; if it is killed or interrupted, its checkpoints are. If it raises UnreadableStepError its files
        are kept beside, and the step is not made again (see ``check_readable``).

        Between machines this needs a file system that passes locks on; runs can do without (docs/cluster.md).
        """
        folder = self.folder(address)
        if self.is_done(address):
            return folder, False
        self.root.mkdir(parents=True, exist_ok=True)

        # One process makes the step; the others wait here and then find it done.
        with FileLock(self.root / f"{address}.lock"):
            if self.is_done(address):
                return folder, False
            self.check_readable(address)

            # Made beside and renamed into place.
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
        """The content of every finished step's step.json, by address."""
        paths = (path for path in sorted(self.root.glob("*/step.json")) if path.parent.suffix != ".partial")
        records = {path.parent.name: _read(path) for path in paths}
        return {address: record for address, record in records.items() if record is not None}

    def record(self, address: str) -> dict[str, Any]:
        """The content of the finished step's step.json.

        Raises:
            KeyError: there is no such step, or it cannot be read.
        """
        record = _read(self.folder(address) / "step.json")
        if record is None:
            raise KeyError(f"step {address} is not finished")
        return record

    def discard(self, address: str) -> None:
        """Makes a damaged step count as not done, so that the next run that needs it makes it again."""
        (self.folder(address) / "step.json").unlink(missing_ok=True)

    def damaged(self, address: str, title: str, error: Exception) -> DamagedStepError:
        """Discards the step; the exception to raise, which names it and the reason."""
        self.discard(address)
        return DamagedStepError(
            f"step {address} ({title}) is damaged and will be made again by the next run: {first_line(error)}"
        )


def _read(path: Path) -> dict[str, Any] | None:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None
