from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from xtc_study.hardware import forget_peak, resident

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
