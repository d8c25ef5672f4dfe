"""The lines about runs while they are carried out: how many ended, which run now, about how much time is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

from xtc_study.runs.progress import in_progress

SAY_SECONDS = 60.0
"""Time between two lines about the runs in progress, in a log without a terminal."""
NAMED = 4
"""Maximum number of runs that such a line names."""


@dataclass
class RunLog:
    """Counts the outcomes of runs and writes a line about each.

    Args:
        folders: of the runs to carry out.
        clock: returns the time in seconds.
    """

    folders: Sequence[Path]
    clock: Callable[[], float] = time.monotonic
    ended: int = 0
    counted: int = 0
    """How many of them ran here; only these show how long a run takes."""
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.clock()

    @property
    def total(self) -> int:
        return len(self.folders)

    def left(self) -> str:
        """Return ``about 14 min left``, from the mean time between outcomes so far; empty before the first one."""
        if not self.counted or self.ended >= self.total:
            return ""
        return f"about {duration((self.clock() - self.started) / self.counted * (self.total - self.ended))} left"

    def outcome(self, outcome: Mapping[str, Any]) -> str:
        """Count an outcome and describe it in one line: ``7 of 36 done: RUN_ID (62 s), about 14 min left``."""
        self.ended += 1
        self.counted += outcome["state"] in ("done", "failed")
        text = f"{self.ended} of {self.total} {outcome['state']}: {outcome['run_id']}"
        if outcome["state"] == "failed":
            text += f": {outcome['error']['type']}: {outcome['error']['message']}"
        elif outcome["state"] == "done":
            text += f" ({outcome['seconds']:.0f} s)"
        left = self.left()
        return f"{text}, {left}" if left else text

    def now(self) -> str:
        """Describe the progress in one line: ``after 3 min: 1 of 36 ended; running: RUN_ID (4 of 11 cells)``."""
        runs = in_progress(self.folders)
        text = f"after {duration(self.clock() - self.started)}: {self.ended} of {self.total} ended"
        if runs:
            names = ", ".join(f"{run.run_id} ({run.done} of {run.cells} cells)" for run in runs[:NAMED])
            text += f"; running: {names}" + (f" and {len(runs) - NAMED} more" if len(runs) > NAMED else "")
        left = self.left()
        return f"{text}; {left}" if left else text


class EveryMinute:
    """A context in which ``say`` receives ``log.now()`` every SAY_SECONDS."""

    def __init__(self, log: RunLog, say: Callable[[str], None]) -> None:
        self._stop = Event()
        self._thread = Thread(target=self._watch, args=(log, say), daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self, log: RunLog, say: Callable[[str], None]) -> None:
        while not self._stop.wait(SAY_SECONDS):
            say(log.now())


def duration(seconds: float) -> str:
    """Write a duration for a reader: ``40 s``, ``14 min``, ``3.2 hours``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} hours"
