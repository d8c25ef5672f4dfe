"""Who carries out a run: one process at a time, on one machine or on many that share a folder.

A lease is an operating-system lock on ``claim.lock``, held as long as the process works on the run. The system drops
it when the process ends, however it ends, so no clock and no process id need be trusted. ``claim.json`` names the
process.

Some network file systems do not pass locks on to other machines. A lease of another machine is therefore also
respected while its ``heartbeat`` counter moves, and may be taken over once the counter has stood still for
STALE_SECONDS. Each process must see that for itself: a runner passes on to its workers what it saw (``lapsed``), and a
process that comes alone watches first (``watch``).
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
STALE_SECONDS = 90.0
LOOK_SECONDS = 0.5
"""How often a watched heartbeat is looked at."""

_held: dict[Path, Lease] = {}
"""What this process holds, by run folder."""
_guard = threading.Lock()
_seen: dict[Path, tuple[str, float]] = {}
"""The heartbeat of another machine's lease, and when (monotonic) we first saw it so."""


class LeaseError(RuntimeError):
    """Another process is carrying out this run."""


@dataclass
class Lease:
    """A run folder held by this process."""

    folder: Path
    token: str
    lock: FileLock
    stop: threading.Event = field(default_factory=threading.Event)

    def is_ours(self) -> bool:
        """Whether claim.json is still ours; another machine that saw no heartbeat may have taken the run over."""
        return holder(self.folder).get("token") == self.token

    def release(self) -> None:
        """Gives the run up: others may take it from now on. The lease of a process that took it over stays."""
        self.stop.set()
        with _guard:
            _held.pop(self.folder, None)
        if self.is_ours():
            for name in ("claim.json", "heartbeat"):
                (self.folder / name).unlink(missing_ok=True)
        self.lock.release()

    def beat(self) -> None:
        """Counts up in ``heartbeat`` until released. A full disk or a lost folder is for the run itself to report."""
        count = 0
        while not self.stop.wait(BEAT_SECONDS):
            count += 1
            try:
                if self.is_ours():
                    write_file(self.folder / "heartbeat", f"{self.token} {count}")
            except OSError:
                continue


def take(folder: Path, again: bool = False, dead: str = "") -> Lease | None:
    """Takes the lease of a run folder, which must exist; None if another process holds it.

    Args:
        again: also take what this very process holds, say for a notebook cell that is run again.
        dead: what ``lapsed`` returned for the folder, here or in the process that started this one; that lease may be
            taken over.

    Raises:
        OSError: the folder cannot be written.
    """
    folder = folder.absolute()
    with _guard:
        mine = _held.get(folder)
    if mine is not None:
        if not again:
            return None
        mine.release()

    # Not shared between threads: two threads of one process must exclude each other too.
    lock = FileLock(folder / "claim.lock", timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        return None
    try:
        if _lives_elsewhere(folder) and (not dead or _sign(folder) != dead):
            lock.release()
            return None

        lease = Lease(folder, uuid.uuid4().hex, lock)
        who = {"token": lease.token, "host": socket.gethostname(), "pid": os.getpid()}
        write_file(folder / "claim.json", json.dumps(who))
    except BaseException:
        lock.release()
        raise

    with _guard:
        _held[folder] = lease
    threading.Thread(target=lease.beat, daemon=True, name=f"heartbeat {folder.name}").start()
    return lease


def held(folder: Path) -> Lease | None:
    """This process's lease of the folder, if it has one."""
    with _guard:
        return _held.get(folder.absolute())


def holder(folder: Path) -> dict[str, Any]:
    """The content of claim.json (token, host, pid); empty if there is none or it cannot be read."""
    try:
        content = json.loads((folder / "claim.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def is_held(folder: Path) -> bool:
    """Whether a process works on the run now, as far as can be seen from here; takes nothing."""
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
    """The token and heartbeat of a holder that is found dead, for ``take`` in another process; else empty."""
    sign = _sign(folder)
    return "" if is_held(folder) else sign


def watch(folders: Sequence[Path], say: Callable[[str], None] = print) -> None:
    """Waits until each lease of another machine has shown a heartbeat, or none for STALE_SECONDS.

    Afterwards ``is_held`` and ``take`` know whether the holder lives.
    """
    seen = {folder: _sign(folder) for folder in folders if _lives_elsewhere(folder)}
    for folder in seen:
        host = holder(folder).get("host")
        say(f"{folder.name}: claimed by machine {host}; looking for its heartbeat, {STALE_SECONDS:.0f} s at most")
    while any(_lives_elsewhere(folder) and _sign(folder) == sign for folder, sign in seen.items()):
        time.sleep(LOOK_SECONDS)


def _sign(folder: Path) -> str:
    """The holder's token and its last heartbeat; of a holder that lives, this changes."""
    try:
        beat = (folder / "heartbeat").read_text()
    except OSError:
        beat = ""
    return f"{holder(folder).get('token')} {beat}"


def _lives_elsewhere(folder: Path) -> bool:
    """Whether claim.json names another machine whose heartbeat has moved within our watch of STALE_SECONDS."""
    folder = folder.absolute()
    who = holder(folder)
    if not isinstance(who.get("host"), str) or who["host"] == socket.gethostname():
        return False
    now, sign = time.monotonic(), _sign(folder)
    last, since = _seen.get(folder, ("", now))
    if sign != last:
        _seen[folder] = (sign, now)
        return True
    return now - since < STALE_SECONDS
