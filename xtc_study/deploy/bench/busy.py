"""Whether a machine was too busy for its times to be believed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pandas as pd

SAMPLE_SECONDS = 1.0
SLACK = 0.5
"""Cores that others may use beyond those a measurement leaves free."""
SPREAD = 1.25
"""Passes of a quiet machine differ by less, in the middle over all rows."""
SLOWED = 3.0
"""More threads cost a small batch something, but less than this, in the middle over all rows."""
FIX = "run it again when nothing else runs, or with --force to write them all the same"


class BusyError(ValueError):
    """Times of a busy machine. The message names the signs. Nothing was written."""


def cores_in_use(seconds: float = SAMPLE_SECONDS) -> float | None:
    """Cores that this machine's processes use right now; where it does not count them, the load average; else None."""
    before = _ticks()
    if before is not None:
        time.sleep(seconds)
        after = _ticks()
        if after is not None and after[1] > before[1]:
            return (after[0] - before[0]) / (after[1] - before[1]) * (os.cpu_count() or 1)
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def busy_signs(frame: pd.DataFrame, in_use: float | None) -> list[str]:
    """Signs that the machine was busy, each in words; empty if there are none.

    Args:
        frame: what ``bench`` gave: ``ms`` is the least of the passes' medians, ``worst_ms`` the greatest.
        in_use: cores that other processes used before the measurement (``cores_in_use``).
    """
    signs, cores, threads = [], os.cpu_count() or 1, int(frame["threads"].max())
    if in_use is not None and in_use > max(cores - threads, 0) + SLACK:
        signs.append(f"other processes used {in_use:.1f} of {cores} cores, {threads} were to be measured")
    spread = float((frame["worst_ms"] / frame["ms"]).median())
    if spread > SPREAD:
        signs.append(f"one pass took {spread:.1f} times as long as another")
    by_threads = frame.pivot_table(index=["name", "batch"], columns="threads", values="ms")
    if by_threads.shape[1] > 1:
        few, many = by_threads.columns.min(), by_threads.columns.max()
        slowed = float((by_threads[many] / by_threads[few]).median())
        if slowed > SLOWED:
            signs.append(f"with {many} threads it took {slowed:.1f} times as long as with {few}")
    return signs


def refuse_if_busy(frame: pd.DataFrame, in_use: float | None) -> None:
    """Raises:
    BusyError: ``busy_signs`` finds some.
    """
    if signs := busy_signs(frame, in_use):
        raise BusyError(f"this machine is busy: {'; '.join(signs)}; the times were not written: {FIX}")


def why_slow(frame: pd.DataFrame, native_built: bool) -> str:
    """Why the packed file is slower than fp32 in PyTorch, where it is; else empty."""
    packed: dict[tuple[int, str], float] = {}
    full: dict[tuple[int, str], float] = {}
    for row in frame.to_dict("records"):
        where = (int(row["threads"]), str(row["batch"]))
        if str(row["name"]).startswith("packed"):
            packed[where] = min(row["ms"], packed.get(where, row["ms"]))
        elif row["name"] == "fp32, PyTorch":
            full[where] = row["ms"]

    slower = [where for where in packed if where in full and packed[where] > full[where]]
    if not slower:
        return ""
    threads, batch = worst = max(slower, key=lambda where: packed[where] / full[where])

    reason = (
        "a call of the engine costs more here than the products it saves; larger encoders and batches gain"
        if native_built
        else "the native engine, the fastest, is not built (xtc-study build-engine)"
    )
    counted = f"{threads} thread" + ("s" if threads > 1 else "")
    times = f"{packed[worst]:.2f} ms, fp32 {full[worst]:.2f} ms at {batch}, {counted}"
    return f"packed is slower than fp32 in PyTorch ({times}): {reason}"


def _ticks() -> tuple[int, int] | None:
    """Ticks that all processors were at work, and all ticks, since the start; None where the system does not say."""
    try:
        fields = Path("/proc/stat").read_text().splitlines()[0].split()
        counts = [int(count) for count in fields[1:9]]
    except (OSError, ValueError, IndexError):
        return None
    if fields[0] != "cpu" or len(counts) < 5:
        return None
    return sum(counts) - counts[3] - counts[4], sum(counts)  # idle, and idle for want of a disk
