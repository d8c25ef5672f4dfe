"""Let contenders take turns: each runs in its own process, does one pass on request, and reports on it.

Needs only torch, so that a contender can run in another environment. Idle contenders wait; only one works at a time.
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
"""Prefix of the lines that are reports; libraries print other lines."""


class ContenderError(RuntimeError):
    """A contender failed; the message is the last line of its log."""


class Contender:
    """A process that returns a report for each ``turn``."""

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
            self._report()  # an empty report when it is ready
        except ContenderError:
            self.close()
            raise

    def turn(self) -> dict[str, Any]:
        """Request one pass, and return its report."""
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
        lines = self.log.read_text().strip().splitlines()
        raise ContenderError(lines[-1] if lines else f"the process ended without output; its log {self.log} is empty")


def serve(one_pass: Callable[[], dict[str, Any]], resident_before: int, device: str) -> None:
    """Serve as a contender: do one pass for each line of standard input, and print its report with the peak memory.

    Args:
        one_pass: does one pass and returns its report.
        resident_before: bytes of memory before the first model was loaded; only memory above it is reported.
        device: the device of the models.
    """
    _answer({})
    for _ in sys.stdin:
        _forget_peak(device)
        report = one_pass()
        peak = torch.cuda.max_memory_allocated() if device == "cuda" else _peak_resident() - resident_before
        _answer({**report, "peak_bytes": peak})


def resident() -> int:
    """Return this process's current memory in bytes."""
    return _status("VmRSS")


def stamp(device: str) -> Any:
    """Return a time stamp. On a GPU it is an event in the stream, recorded without waiting."""
    if device != "cuda":
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def seconds_between(first: Any, last: Any) -> float:
    """Return the seconds between two stamps; on a GPU call ``torch.cuda.synchronize`` before."""
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
