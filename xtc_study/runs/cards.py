"""The NVIDIA cards that runs may use, as values of CUDA_VISIBLE_DEVICES. Imports no torch and makes no CUDA context.

A runner that had a CUDA context would hold memory of a card for as long as its runs take, and its forked children
could not use CUDA. The driver's management library (NVML) counts cards without one.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

VARIABLE = "CUDA_VISIBLE_DEVICES"
"""Environment variable that chooses the cards of a process. CUDA reads it when a process first uses a card."""
NVML = ("libnvidia-ml.so.1", "/usr/local/nvidia/lib64/libnvidia-ml.so.1", "/usr/lib/wsl/lib/libnvidia-ml.so.1")
"""Where the driver's library may be: where the system looks, and where containers and WSL may put it."""
UNIQUE = ("GPU-", "MIG-")
"""How names of cards begin that are no numbers: of a whole card, or of a part of one (MIG)."""


def cards_for(device: str) -> tuple[str, ...]:
    """Return the cards that runs with this device may use, each a value for ``VARIABLE``.

    Args:
        device: auto, cpu, cuda or mps, as for ``Compute``.

    Returns:
        The cards that this process sees, in CUDA's order; empty where runs use no card, where torch was built without
        CUDA, or where no driver counts cards.
    """
    if device not in ("auto", "cuda"):
        return ()
    count = driver_cards()
    return visible_cards(os.environ.get(VARIABLE), count) if count and torch_has_cuda() else ()


def visible_cards(value: str | None, count: int) -> tuple[str, ...]:
    """Return the cards that a value of ``VARIABLE`` leaves, by CUDA's own rules.

    The list ends before the first entry that names no card. A card that is named twice leaves none. Every MIG part in
    the list counts, though one process sees only the first: a worker gets one part.

    Args:
        value: of the variable; None: it is not set.
        count: cards of this machine.
    """
    if value is None:
        return tuple(map(str, range(count)))
    entries = [entry.strip() for entry in value.split(",")]
    prefix = next((prefix for prefix in UNIQUE if entries[0].startswith(prefix)), None)
    cards: list[str] = []
    for entry in entries:
        if not (entry.startswith(prefix) if prefix else entry.isdecimal() and int(entry) < count):
            break
        card = entry if prefix else str(int(entry))
        if card in cards:
            return ()
        cards.append(card)
    return tuple(cards)


@cache
def driver_cards() -> int:
    """Return the number of cards that the driver shows to this process; 0 without a driver."""
    library = _nvml()
    if library is None or library.nvmlInit_v2():
        return 0
    count = ctypes.c_uint()
    failed = library.nvmlDeviceGetCount_v2(ctypes.byref(count))
    library.nvmlShutdown()
    return 0 if failed else count.value


def _nvml() -> Any:
    for name in NVML if sys.platform != "win32" else ("nvml.dll",):
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        if hasattr(library, "nvmlInit_v2"):
            return library
    return None


@cache
def torch_has_cuda() -> bool:
    """Return whether the installed torch was built with CUDA, by its own version file; True if that cannot be read."""
    found = find_spec("torch")
    if found is None or found.origin is None:
        return False
    try:
        text = Path(found.origin).with_name("version.py").read_text(encoding="utf-8")
    except OSError:
        return True
    return re.search(r"^cuda\b.*= *['\"]", text, re.MULTILINE) is not None
