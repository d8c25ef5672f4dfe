"""Who carries out a run: one process at a time, on one machine or on many that share a folder.

A claim is an operating-system lock on ``claim.lock``, held as long as the process works on the run. The system drops
it when the process ends, however it ends, so no clock and no process id need be trusted. ``claim.json`` says who it
is.

Some network file systems do not pass locks on to other machines. A claim of another machine is therefore also
respected while its ``heartbeat`` counter moves, and is taken over when that has stood still for STALE_SECONDS of
somebody's own watch. A watch is one process's: a runner tells its workers what it found (``lapsed``), and whoever
comes alone watches first (``watch``).
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

_held: dict[Path, Claim] = {}
"""What this process holds, by run folder."""
_guard = threading.Lock()
_seen: dict[Path, tuple[str, float]] = {}
"""The heartbeat of another machine's claim, and when (monotonic) we first saw it so."""


class ClaimError(RuntimeError):
    """Somebody else is carrying out this run."""


@dataclass
class Claim:
    """A run folder held by this process."""

    folder: Path
    token: str
    lock: FileLock
    stop: threading.Event = field(default_factory=threading.Event)

    def is_ours(self) -> bool:
        """Whether it still stands in the folder; another machine that saw no heartbeat may have taken the run over."""
        return holder(self.folder).get("token") == self.token

    def release(self) -> None:
        """Gives the run up: others may take it from now on. The claim of one who took it over stays."""
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


def take(folder: Path, again: bool = False, dead: str = "") -> Claim | None:
    """Claims a run folder, which must exist; None if somebody else holds it.

    Args:
        again: also take what this very process holds, say for a notebook cell that is run again.
        dead: what ``lapsed`` said of the folder, here or in the process that sends us: that claim may be taken over.

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
        claim = Claim(folder, uuid.uuid4().hex, lock)
        who = {"token": claim.token, "host": socket.gethostname(), "pid": os.getpid()}
        write_file(folder / "claim.json", json.dumps(who))
    except BaseException:
        lock.release()
        raise
    with _guard:
        _held[folder] = claim
    threading.Thread(target=claim.beat, daemon=True, name=f"heartbeat {folder.name}").start()
    return claim


def held(folder: Path) -> Claim | None:
    """This process's claim of the folder, if it has one."""
    with _guard:
        return _held.get(folder.absolute())


def holder(folder: Path) -> dict[str, Any]:
    """What claim.json says (token, host, pid); empty if there is none or it cannot be read."""
    try:
        said = json.loads((folder / "claim.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def is_held(folder: Path) -> bool:
    """Whether somebody is at the run now, as far as can be seen from here; takes nothing."""
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
    """The claim and heartbeat of a holder that is found dead, for ``take`` in another process; else empty."""
    sign = _sign(folder)
    return "" if is_held(folder) else sign


def watch(folders: Sequence[Path], say: Callable[[str], None] = print) -> None:
    """Waits until each claim of another machine has shown a heartbeat, or none for STALE_SECONDS. ``is_held`` and
    ``take`` then know better than at first sight.
    """
    seen = {folder: _sign(folder) for folder in folders if _lives_elsewhere(folder)}
    for folder in seen:
        who = holder(folder).get("host")
        say(f"{folder.name}: claimed by machine {who}; looking for its heartbeat, {STALE_SECONDS:.0f} s at most")
    while any(_lives_elsewhere(folder) and _sign(folder) == sign for folder, sign in seen.items()):
        time.sleep(LOOK_SECONDS)


def _sign(folder: Path) -> str:
    """The claim's token and its last heartbeat: alive is whose sign changes."""
    try:
        beat = (folder / "heartbeat").read_text()
    except OSError:
        beat = ""
    return f"{holder(folder).get('token')} {beat}"


def _lives_elsewhere(folder: Path) -> bool:
    """Whether claim.json names another machine whose heartbeat has moved within our watch of STALE_SECONDS."""
    folder = folder.absolute()
    said = holder(folder)
    if not isinstance(said.get("host"), str) or said["host"] == socket.gethostname():
        return False
    now, sign = time.monotonic(), _sign(folder)
    last, since = _seen.get(folder, ("", now))
    if sign != last:
        _seen[folder] = (sign, now)
        return True
    return now - since < STALE_SECONDS
