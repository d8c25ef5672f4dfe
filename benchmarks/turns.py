"""How contenders take turns: each lives in a process of its own, does one pass when told to, and reports on it.

Needs torch alone, so that a contender may live in another environment. Idle contenders wait; only one works at a time.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

MARK = "contender: "
"""Starts the lines that are meant for us; libraries print too."""


class ContenderError(RuntimeError):
    """A contender that cannot do its pass. The message is what it said last."""


class Contender:
    """A process that answers each ``turn`` with a report."""

    def __init__(self, command: Sequence[str], log: Path, environment: dict[str, str]) -> None:
        self.log = log
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.open("w"),
            text=True,
            env=environment,
        )
        try:
            self._report()  # it says once that it is ready
        except ContenderError:
            self.close()
            raise

    def turn(self) -> dict[str, Any]:
        """One pass."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self._report()

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

    def _report(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(MARK):
                return dict(json.loads(line.removeprefix(MARK)))
        said = self.log.read_text().strip().splitlines()
        raise ContenderError(said[-1] if said else "it ended without a word")


def serve(one_pass: Callable[[], dict[str, Any]], resident_before: int, device: str) -> None:
    """The contender's side: a pass for each line of standard input, its report and its peak memory to the output.

    Args:
        resident_before: bytes of memory before the first model was made; what is above counts as the contender's.
    """
    _answer({})
    for _ in sys.stdin:
        _forget_peak(device)
        report = one_pass()
        peak = torch.cuda.max_memory_allocated() if device == "cuda" else _peak_resident() - resident_before
        _answer({**report, "peak_bytes": peak})


def resident() -> int:
    """Bytes of memory of this process now."""
    return _status("VmRSS")


def stamp(device: str) -> Any:
    """A moment. On a GPU it is put into the stream, and waits for nothing."""
    if device != "cuda":
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def seconds_between(first: Any, last: Any) -> float:
    """Between two stamps; on a GPU call ``torch.cuda.synchronize`` before."""
    return last - first if isinstance(first, float) else first.elapsed_time(last) / 1000


def _answer(report: dict[str, Any]) -> None:
    print(f"\n{MARK}{json.dumps(report)}", flush=True)


def _forget_peak(device: str) -> None:
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM


def _peak_resident() -> int:
    return _status("VmHWM")


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")
