"""What this machine is: its processor's name and abilities, its memory and what this process holds of it."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from pathlib import Path

UNKNOWN_MEMORY = 8 * 2**30
"""Bytes a machine is taken to have where the system cannot be asked."""


def processor() -> str:
    """Its name as Python knows it, mostly that of the family: ``x86_64``."""
    return platform.processor() or platform.machine()


def cpu_name() -> str:
    """Its own name for itself with family, model and the number of CPUs; ``processor`` where there is no Linux."""
    lines = _cpuinfo()
    if lines is None:
        return processor()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    named = {key.strip(): value.strip() for key, value in fields.items()}
    family = f"family {named['cpu family']}, model {named['model']}" if "cpu family" in named else ""
    return f"{named.get('model name', 'unknown')} ({family}), {os.cpu_count()} CPUs"


def cpu_abilities() -> str:
    """The machine's kind and, where Linux says so, its processor's abilities: equal texts run the same programs."""
    abilities = [line for line in _cpuinfo() or [] if line.startswith(("flags", "Features", "model name"))]
    return "\n".join([platform.machine(), platform.processor(), *sorted(set(abilities))])


def physical_memory() -> int:
    """Bytes of memory that the machine has; ``UNKNOWN_MEMORY`` where the system is not POSIX."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return UNKNOWN_MEMORY


def resident(field: str = "VmRSS") -> int:
    """Bytes of this process in memory now, or at most so far (VmHWM). 0 where there is no Linux to ask."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    (line,) = (line for line in lines if line.startswith(field))
    return int(line.split()[1]) * 1024


def forget_peak() -> None:
    """Starts the peak again from what is held now, where Linux lets us; else it may show the imports' own."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _cpuinfo() -> list[str] | None:
    try:
        return Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return None
