"""Detect whether a machine was too busy for reliable times."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pandas as pd

SAMPLE_SECONDS = 1.0
SLACK = 0.5
"""Cores that other processes may use beyond those that a measurement leaves free."""
SPREAD = 1.25
"""Maximum ratio of two passes on a quiet machine, the median over all rows."""
SLOWED = 3.0
"""Maximum slowdown by more threads on a quiet machine, the median over all rows; small batches slow down a little."""
FIX = "run it again when nothing else is running, or use --force to write them anyway"


class BusyError(ValueError):
    """The machine was busy while times were measured; the message names the signs. Nothing was written."""


def cores_in_use(seconds: float = SAMPLE_SECONDS) -> float | None:
    """Return how many cores the machine's processes use now; else the load average; None if neither is known."""
    before = _ticks()
    if before is not None:
        time.sleep(seconds)
        after = _ticks()
        if after is not None and after[1] > before[1]:
            return (after[0] - before[0]) / (after[1] - before[1]) * (os.cpu_count() or 1)
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def busy_signs(frame: pd.DataFrame, in_use: float | None) -> list[str]:
    """Return the signs that the machine was busy, each in words; empty if there are none.

    Args:
        frame: what ``bench`` returned.
        in_use: cores that other processes used before the measurement (``cores_in_use``).
    """
    # Other processes used cores that the measurement needed.
    signs, cores, threads = [], os.cpu_count() or 1, int(frame["threads"].max())
    if in_use is not None and in_use > max(cores - threads, 0) + SLACK:
        signs.append(f"other processes used {in_use:.1f} of {cores} cores, but the measurement needs {threads}")

    # The passes differ.
    spread = float((frame["worst_ms"] / frame["ms"]).median())
    if spread > SPREAD:
        signs.append(f"one pass took {spread:.1f} times as long as another")

    # More threads made everything slower.
    by_threads = frame.pivot_table(index=["name", "batch"], columns="threads", values="ms")
    if by_threads.shape[1] > 1:
        few, many = by_threads.columns.min(), by_threads.columns.max()
        slowed = float((by_threads[many] / by_threads[few]).median())
        if slowed > SLOWED:
            signs.append(f"with {many} threads it took {slowed:.1f} times as long as with {few}")
    return signs


def refuse_if_busy(frame: pd.DataFrame, in_use: float | None) -> None:
    """Raise an error if the machine was busy.

    Args:
        frame: as for ``busy_signs``.
        in_use: as for ``busy_signs``.

    Raises:
        BusyError: ``busy_signs`` returns some.
    """
    if signs := busy_signs(frame, in_use):
        raise BusyError(f"this machine is busy: {'; '.join(signs)}; the times were not written; {FIX}")


def why_slow(frame: pd.DataFrame, native_built: bool) -> str:
    """Return why the packed file is slower than fp32 in PyTorch; empty if it is not.

    Args:
        frame: what ``bench`` returned.
        native_built: whether the native engine is built.
    """
    # The fastest packed engine and fp32, by threads and batch.
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
        "calling the engine costs more than the products it saves; larger encoders and batches gain"
        if native_built
        else "the native engine, the fastest, is not built (xtc-study build-engine)"
    )
    counted = f"{threads} thread" + ("s" if threads > 1 else "")
    times = f"{packed[worst]:.2f} ms, fp32 {full[worst]:.2f} ms at {batch}, {counted}"
    return f"packed is slower than fp32 in PyTorch ({times}): {reason}"


def _ticks() -> tuple[int, int] | None:
    """Return the busy ticks and all ticks of all processors since boot; None if the system does not count them."""
    try:
        fields = Path("/proc/stat").read_text().splitlines()[0].split()
        counts = [int(count) for count in fields[1:9]]
    except (OSError, ValueError, IndexError):
        return None
    if fields[0] != "cpu" or len(counts) < 5:
        return None
    return sum(counts) - counts[3] - counts[4], sum(counts)  # 3: idle; 4: idle while waiting for a disk
