"""The card of a run that an executor of the user's carries out, where its worker names none.

The first run of a thread takes the first free slot among the machine's cards, first one slot on each card, then two on
each, and so on, and the thread keeps it. So threads and processes of one user spread evenly over the cards of their
machine, whichever executors they belong to. A slot is a lock on a file: the system frees it when its process ends.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Sequence
from getpass import getuser
from pathlib import Path
from tempfile import gettempdir

from filelock import FileLock, Timeout

from xtc_study.runs.cards import VARIABLE, cards_for

_thread = threading.local()


def card_of_this_thread(device: str) -> str | None:
    """Return the card for runs of this thread.

    Args:
        device: of the run, as for ``cards_for``.

    Returns:
        A value for ``VARIABLE``; None where the environment sets it, as dask-cuda does, or where there is no choice.
    """
    cards = cards_for(device)
    if VARIABLE in os.environ or len(cards) < 2:
        return None
    if getattr(_thread, "cards", None) != cards:
        try:
            _thread.card, _thread.lock = _take_slot(cards, _folder())
        except OSError:  # the folder belongs to another user, or the disk is full
            return None
        _thread.cards = cards
    card: str = _thread.card
    return card


def _take_slot(cards: Sequence[str], folder: Path) -> tuple[str, FileLock]:
    folder.mkdir(mode=0o700, exist_ok=True)
    for layer in itertools.count():
        for card in cards:
            lock = FileLock(folder / f"{card}-{layer}.lock", timeout=0, thread_local=False)
            try:
                lock.acquire()
            except Timeout:
                continue
            return card, lock
    raise AssertionError("the layers have no end")


def _folder() -> Path:
    return Path(gettempdir()) / f"xtc-cards-{os.getuid() if hasattr(os, 'getuid') else getuser()}"
