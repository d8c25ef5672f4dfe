"""Leases of runs: one process at a time carries out a run, on one machine or on several that share a folder.

A lease is an operating-system lock on ``claim.lock``, held while the process works on the run. The system releases it
when the process ends for any reason, so no clock and no process id has to be trusted. ``claim.json`` names the
process.

Some network file systems do not share locks between machines. The lease of another machine is therefore also respected
while its ``heartbeat`` counter changes, and may be taken over once the counter has not changed for STALE_SECONDS. Each
process must observe that itself: a runner passes what it saw to its workers (``lapsed``), and a process without a
runner watches first (``watch``).
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from xtc_study.atomic import write_file

BEAT_SECONDS = 10.0
"""Time between two counts of a heartbeat."""
STALE_SECONDS = 90.0
"""A heartbeat of another machine that has not changed for this long counts as stopped."""
LOOK_SECONDS = 0.5
"""Time between two looks at a watched heartbeat."""

_held: dict[Path, Lease] = {}
"""Leases that this process holds, by run folder."""
_guard = threading.Lock()
_seen: dict[Path, tuple[str, float]] = {}
"""The last heartbeat seen of another machine's lease, and when (monotonic seconds) it was first seen."""


class LeaseError(RuntimeError):
    """Another process is carrying out this run."""


@dataclass
class Lease:
    """A run folder that this process holds."""

    folder: Path
    token: str
    lock: FileLock
    stop: threading.Event = field(default_factory=threading.Event)

    def is_ours(self) -> bool:
        """Return whether claim.json still names this lease, which another machine may have taken over."""
        return holder(self.folder).get("token") == self.token

    def release(self) -> None:
        """Give the run up, so that others may take it. If another process has taken it over, its lease remains."""
        self.stop.set()
        with _guard:
            _held.pop(self.folder, None)
        if self.is_ours():
            for name in ("claim.json", "heartbeat"):
                (self.folder / name).unlink(missing_ok=True)
        self.lock.release()

    def beat(self) -> None:
        """Count up in ``heartbeat`` until released. A full disk or a lost folder is left for the run to report."""
        count = 0
        while not self.stop.wait(BEAT_SECONDS):
            count += 1
            try:
                if self.is_ours():
                    write_file(self.folder / "heartbeat", f"{self.token} {count}")
            except OSError:
                continue


def take(folder: Path, again: bool = False, dead: str = "") -> Lease | None:
    """Take the lease of a run folder; return None if another process holds it.

    Args:
        folder: of the run; it must exist.
        again: whether to take a lease that this process already holds, as when a notebook cell is rerun.
        dead: what ``lapsed`` returned for the folder, here or in the parent process; that lease may be taken over.

    Raises:
        OSError: the folder cannot be written.
    """
    # A lease that this process already holds.
    folder = folder.absolute()
    with _guard:
        own = _held.get(folder)
    if own is not None:
        if not again:
            return None
        own.release()

    # thread_local=False: two threads of one process must exclude each other too.
    lock = FileLock(folder / "claim.lock", timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        return None

    # The lock is free, but on a file system without shared locks another machine may hold the run.
    try:
        if _lives_elsewhere(folder) and (not dead or _sign_of_life(folder) != dead):
            lock.release()
            return None

        lease = Lease(folder, uuid.uuid4().hex, lock)
        content = {"token": lease.token, "host": socket.gethostname(), "pid": os.getpid()}
        write_file(folder / "claim.json", json.dumps(content))
    except BaseException:
        lock.release()
        raise

    with _guard:
        _held[folder] = lease
    threading.Thread(target=lease.beat, daemon=True, name=f"heartbeat {folder.name}").start()
    return lease


def held(folder: Path) -> Lease | None:
    """Return this process's lease of a folder, or None."""
    with _guard:
        return _held.get(folder.absolute())


def holder(folder: Path) -> dict[str, Any]:
    """Return the content of claim.json (token, host, pid); empty if it is missing or cannot be read."""
    try:
        content = json.loads((folder / "claim.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def is_held(folder: Path) -> bool:
    """Return whether a process holds the run now, as far as this process can see; take nothing."""
    if not (folder / "claim.json").is_file():
        return False
    if _lives_elsewhere(folder):
        return True
    lock = FileLock(folder / "claim.lock", timeout=0, thread_local=False)
    try:
        with lock:
            return False
    except Timeout:
        return True
    except OSError:
        return False


def lapsed(folder: Path) -> str:
    """Return the token and last heartbeat of a dead holder, for ``take`` in another process; empty if it is alive."""
    sign = _sign_of_life(folder)
    return "" if is_held(folder) else sign


def watch(folders: Sequence[Path], say: Callable[[str], None] = print) -> None:
    """Wait until each lease of another machine has shown a new heartbeat, or none for STALE_SECONDS.

    Afterwards ``is_held`` and ``take`` know whether the holder is alive.

    Args:
        folders: of the runs.
        say: receives a line for each lease that is watched.
    """
    seen = {folder: _sign_of_life(folder) for folder in folders if _lives_elsewhere(folder)}
    for folder in seen:
        host = holder(folder).get("host")
        say(f"{folder.name}: held by machine {host}; waiting for its heartbeat, at most {STALE_SECONDS:.0f} s")
    while any(_lives_elsewhere(folder) and _sign_of_life(folder) == sign for folder, sign in seen.items()):
        time.sleep(LOOK_SECONDS)


def _sign_of_life(folder: Path) -> str:
    """Return the holder's token and last heartbeat, which change while the holder is alive."""
    try:
        beat = (folder / "heartbeat").read_text()
    except OSError:
        beat = ""
    return f"{holder(folder).get('token')} {beat}"


def _lives_elsewhere(folder: Path) -> bool:
    """Return whether claim.json names another machine whose heartbeat changed within the last STALE_SECONDS."""
    folder = folder.absolute()
    host = holder(folder).get("host")
    if not isinstance(host, str) or host == socket.gethostname():
        return False
    now, sign = time.monotonic(), _sign_of_life(folder)
    last, since = _seen.get(folder, ("", now))
    if sign != last:
        _seen[folder] = (sign, now)
        return True
    return now - since < STALE_SECONDS
