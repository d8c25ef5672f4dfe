"""How many worker processes a runner has, how many threads each may use, and which cards they share."""

from __future__ import annotations

import os
from typing import NamedTuple

from xtc_study.runs.cards import cards_for

THREADS = ("MKL_NUM_THREADS", "OMP_NUM_THREADS")
"""Environment variables for torch's number of threads; the first one that is set wins."""


class Shares(NamedTuple):
    """How many workers a runner has, and what each may use."""

    workers: int
    threads: int
    """Threads of torch in each worker's kernel."""
    set_by: str
    """The environment variable that sets ``threads``; empty: an equal share of the cores."""
    cards: tuple[str, ...] = ()
    """The GPUs, which workers get in turn: values of CUDA_VISIBLE_DEVICES. Empty: none, or no choice is made."""

    def text(self) -> str:
        """Describe the shares in one line: ``2 workers, 1 thread each (OMP_NUM_THREADS)``."""
        workers = f"{self.workers} worker{'s' if self.workers > 1 else ''}"
        if used := min(len(self.cards), self.workers):
            workers += f" on {used} GPU{'s' if used > 1 else ''}"
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}{' each' if self.workers > 1 else ''}"
        return f"{workers}, {threads}" + (f" ({self.set_by})" if self.set_by else "")


def shares_of(workers: int | None, runs: int, device: str = "cpu") -> Shares:
    """Return the workers for a number of runs, and the threads and cards of each.

    The environment sets the threads, since users limit them to keep a shared machine usable; otherwise each worker has
    an equal share of the cores. A value that is not a number of threads counts as not set, as it does for OpenMP.

    Args:
        workers: at most; None: one per GPU, or one per core where runs use none. Several workers share a GPU only if
            the user says so, because only the user knows that its memory suffices.
        runs: to carry out.
        device: of the runs: auto, cpu, cuda or mps.
    """
    cores, cards = available_cores(), cards_for(device)
    workers = min(workers or len(cards) or cores, max(runs, 1))
    for name in THREADS:
        first = os.environ.get(name, "").partition(",")[0].strip()  # 4,2 also sets nested regions
        if first.isdecimal() and int(first) > 0:
            return Shares(workers, int(first), name, cards)
    return Shares(workers, max(cores // workers, 1), "", cards)


def available_cores() -> int:
    """Return the number of cores that this process may use, which Slurm or taskset may limit."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
