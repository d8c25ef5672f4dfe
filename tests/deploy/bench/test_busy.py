"""Signs of a busy machine, and why a packed file may be slower."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from xtc_study.deploy.bench import busy
from xtc_study.deploy.bench.busy import BusyError, busy_signs, cores_in_use, refuse_if_busy, why_slow


def frame(*rows: tuple[str, int, str, float, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["name", "threads", "batch", "ms", "worst_ms"])


QUIET = frame(
    ("fp32, PyTorch", 1, "1x16", 1.42, 1.45),
    ("packed, numba engine", 1, "1x16", 2.69, 2.80),
    ("packed, torch engine", 1, "1x16", 3.5, 3.6),
    ("fp32, PyTorch", 2, "1x16", 1.18, 1.2),
    ("packed, numba engine", 2, "1x16", 2.96, 3.3),
    ("packed, torch engine", 2, "1x16", 3.0, 3.1),
)


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)


def test_a_quiet_machine_gives_no_sign() -> None:
    assert busy_signs(QUIET, 0.2) == busy_signs(QUIET, None) == []
    refuse_if_busy(QUIET, 0.2)


def test_other_processes_are_a_sign_beyond_the_free_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    assert busy_signs(QUIET, 1.7) == ["other processes used 1.7 of 2 cores, but the measurement needs 2"]
    assert busy_signs(QUIET[QUIET["threads"] == 1], 1.4) == []
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    assert busy_signs(QUIET, 14.4) == [] and len(busy_signs(QUIET, 14.6)) == 1


def test_passes_that_differ_are_a_sign() -> None:
    """A single disturbed row is no sign: the median over all rows counts."""
    one, all_of_them = QUIET.copy(), QUIET.assign(worst_ms=1.6 * QUIET["ms"])
    one.loc[0, "worst_ms"] = 10.0
    assert busy_signs(one, 0.0) == []
    assert busy_signs(all_of_them, 0.0) == ["one pass took 1.6 times as long as another"]


def test_threads_that_make_everything_slower_are_a_sign() -> None:
    """Times of a reported card: 2.06 and 8.86 ms with one thread, 659.84 and 485.49 with two; a single pass."""
    reported = frame(
        ("fp32, PyTorch", 1, "1x16", 2.06, 2.06),
        ("packed, numba engine", 1, "1x16", 8.86, 8.86),
        ("fp32, PyTorch", 2, "1x16", 659.84, 659.84),
        ("packed, numba engine", 2, "1x16", 485.49, 485.49),
    )
    (sign,) = busy_signs(reported, 0.0)
    assert sign == "with 2 threads it took 187.6 times as long as with 1"  # (659.84 / 2.06 + 485.49 / 8.86) / 2
    with pytest.raises(
        BusyError, match=r"this machine is busy: with 2 threads .*; the times were not written; .*--for"
    ):
        refuse_if_busy(reported, 0.0)


def test_why_slow_gives_the_times_and_the_reason() -> None:
    times = r"packed is slower than fp32 in PyTorch (2.96 ms, fp32 1.18 ms at 1x16, 2 threads): "
    assert why_slow(QUIET, False) == f"{times}the native engine, the fastest, is not built (xtc-study build-engine)"
    assert why_slow(QUIET, True).startswith(f"{times}calling the engine costs more")
    assert why_slow(QUIET.assign(ms=[3.0, 2.0, 2.0, 3.0, 2.0, 2.0]), False) == ""
    assert why_slow(QUIET[QUIET["name"] != "fp32, PyTorch"], False) == ""


@pytest.mark.parametrize(
    ("ticks", "load", "used"),
    [
        ([(100, 1000), (150, 1100)], 9.0, 1.0),
        ([(100, 1000), (100, 1100)], 9.0, 0.0),
        ([(100, 1000), (100, 1000)], 9.0, 9.0),
        ([None], 3.5, 3.5),
    ],
    ids=["half of two cores", "idle", "a clock that stands", "no counts"],
)
def test_cores_in_use_come_from_ticks_or_load(
    ticks: list[Any], load: float, used: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter(ticks)
    monkeypatch.setattr(busy, "_ticks", lambda: next(left))
    monkeypatch.setattr("os.getloadavg", lambda: (load, 0.0, 0.0))
    assert cores_in_use(0) == used


@pytest.mark.parametrize(
    ("text", "ticks"),
    [
        ("cpu  10 1 5 80 4 0 2 0 0 0\ncpu0 1\n", (18, 102)),
        ("cpu  1 2\n", None),
        ("", None),
        ("intr 1 2 3 4 5 6\n", None),
    ],
)
def test_ticks_come_from_proc_stat(text: str, ticks: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda path: text)
    assert busy._ticks() == ticks
