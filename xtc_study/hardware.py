"""This machine: the name and instruction sets of its processor, its memory, and the memory of this process."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from pathlib import Path

UNKNOWN_MEMORY = 8 * 2**30
"""Assumed memory in bytes where the system does not report it."""


def processor() -> str:
    """Return the processor's name as Python reports it, mostly that of the family: ``x86_64``."""
    return platform.processor() or platform.machine()


def cpu_name() -> str:
    """Return the processor's name, family, model and number of CPUs on Linux; elsewhere what ``processor`` returns."""
    lines = _cpuinfo()
    if lines is None:
        return processor()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    named = {key.strip(): value.strip() for key, value in fields.items()}
    family = f"family {named['cpu family']}, model {named['model']}" if "cpu family" in named else ""
    return f"{named.get('model name', 'unknown')} ({family}), {os.cpu_count()} CPUs"


def cpu_abilities() -> str:
    """Return the machine type and, on Linux, the processor's instruction sets: equal texts run the same programs."""
    abilities = [line for line in _cpuinfo() or [] if line.startswith(("flags", "Features", "model name"))]
    return "\n".join([platform.machine(), platform.processor(), *sorted(set(abilities))])


def physical_memory() -> int:
    """Return the machine's memory in bytes; ``UNKNOWN_MEMORY`` where the system is not POSIX."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return UNKNOWN_MEMORY


def resident(field: str = "VmRSS") -> int:
    """Return the bytes of memory this process holds now (VmRSS) or held at its peak (VmHWM); 0 outside Linux."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    (line,) = (line for line in lines if line.startswith(field))
    return int(line.split()[1]) * 1024


def forget_peak() -> None:
    """Reset the peak to what is held now, where Linux allows it; elsewhere the peak may be that of the imports."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _cpuinfo() -> list[str] | None:
    try:
        return Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return None
