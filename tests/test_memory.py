from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from xtc_study.memory import forget_peak, resident


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process its memory")
def test_memory_that_is_touched_is_seen_and_a_peak_outlives_it() -> None:
    before = resident()
    kept = np.ones(50_000_000, np.uint8)
    assert resident() - before > 40_000_000
    del kept
    assert resident("VmHWM") - before > 40_000_000


def test_forgetting_a_peak_never_fails() -> None:
    forget_peak()
    assert resident("VmHWM") >= 0
