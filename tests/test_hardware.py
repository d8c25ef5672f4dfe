from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from xtc_study import hardware
from xtc_study.hardware import cpu_abilities, cpu_name, forget_peak, physical_memory, processor, resident

# A new process: what earlier tests left in this one may be freed, or its peak be higher, while the test counts.
TOUCH_AND_FREE = """
import numpy as np
from xtc_study.hardware import resident
before = resident()
kept = np.ones(50_000_000, np.uint8)
print(before, resident())
del kept
print(resident("VmHWM"))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process its memory")
def test_memory_that_is_touched_is_seen_and_a_peak_outlives_it() -> None:
    fresh = subprocess.run([sys.executable, "-c", TOUCH_AND_FREE], capture_output=True, text=True, check=True)
    before, held, peak = map(int, fresh.stdout.split())
    assert 40_000_000 < held - before < 80_000_000
    assert peak - before > 40_000_000


def test_forgetting_a_peak_never_fails() -> None:
    forget_peak()
    assert resident("VmHWM") >= 0


LINUX = """processor\t: 0
cpu family\t: 6
model\t\t: 85
model name\t: Some CPU @ 2 GHz
flags\t\t: avx avx2

processor\t: 1
model name\t: Some CPU @ 2 GHz
flags\t\t: avx avx2
"""


def test_a_processor_by_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "_cpuinfo", LINUX.splitlines)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert cpu_name() == "Some CPU @ 2 GHz (family 6, model 85), 2 CPUs"
    assert cpu_abilities().splitlines()[2:] == ["flags\t\t: avx avx2", "model name\t: Some CPU @ 2 GHz"]


def test_a_processor_of_another_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "_cpuinfo", lambda: None)
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert (cpu_name(), processor(), cpu_abilities()) == ("arm64", "arm64", "arm64\n")


def test_the_machines_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}.__getitem__)
    assert physical_memory() == 4_096_000
    monkeypatch.delattr(os, "sysconf")
    assert physical_memory() == 8 * 2**30
