"""Workers, threads and cards of a runner."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from xtc_study.runs import cards, shares
from xtc_study.runs.shares import THREADS, available_cores, shares_of


def test_cores_are_those_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3}, raising=False)
    assert available_cores() == 1
    monkeypatch.delattr(os, "sched_getaffinity")
    assert available_cores() == os.cpu_count()


@pytest.mark.parametrize(
    ("environment", "workers", "runs", "expected"),
    [
        ({}, None, 9, (8, 1, "", "8 workers, 1 thread each")),
        ({}, None, 3, (3, 2, "", "3 workers, 2 threads each")),
        ({}, 1, 9, (1, 8, "", "1 worker, 8 threads")),
        ({}, None, 0, (1, 8, "", "1 worker, 8 threads")),
        ({"OMP_NUM_THREADS": "1"}, 2, 9, (2, 1, "OMP_NUM_THREADS", "2 workers, 1 thread each (OMP_NUM_THREADS)")),
        ({"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "1"}, 1, 9, (1, 1, "MKL_NUM_THREADS", None)),
        ({"MKL_NUM_THREADS": "1"}, 1, 9, (1, 1, "MKL_NUM_THREADS", "1 worker, 1 thread (MKL_NUM_THREADS)")),
        ({"OMP_NUM_THREADS": " 4,2"}, 1, 9, (1, 4, "OMP_NUM_THREADS", None)),
        ({"OMP_NUM_THREADS": "0"}, 2, 9, (2, 4, "", None)),
        ({"OMP_NUM_THREADS": "many"}, 2, 9, (2, 4, "", None)),
        ({"OMP_NUM_THREADS": ""}, 2, 9, (2, 4, "", None)),
    ],
)
def test_threads_by_environment_or_share_of_cores(
    environment: dict[str, str],
    workers: int | None,
    runs: int,
    expected: tuple[int, int, str, str | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shares, "available_cores", lambda: 8)
    for name in THREADS:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = shares_of(workers, runs)
    assert tuple(found) == (*expected[:3], ())
    assert expected[3] in (None, found.text())


@pytest.mark.parametrize(("omp", "mkl"), [("1", "2"), ("2", "1"), ("", "1"), ("1", "")])
def test_torch_heeds_the_variables_in_this_order(omp: str, mkl: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("OMP_NUM_THREADS", omp), ("MKL_NUM_THREADS", mkl)):
        monkeypatch.setenv(name, value)
        if not value:
            monkeypatch.delenv(name)
    command = [sys.executable, "-c", "import torch; print(torch.get_num_threads())"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) == shares_of(1, 1).threads


@pytest.mark.parametrize(
    ("seen", "workers", "runs", "expected"),
    [
        (1, None, 9, (1, 16, "1 worker on 1 GPU, 16 threads")),
        (2, None, 9, (2, 8, "2 workers on 2 GPUs, 8 threads each")),
        (1, 14, 26, (14, 1, "14 workers on 1 GPU, 1 thread each")),
        (4, 2, 9, (2, 8, "2 workers on 2 GPUs, 8 threads each")),
        (4, None, 3, (3, 5, "3 workers on 3 GPUs, 5 threads each")),
        (0, None, 99, (16, 1, "16 workers, 1 thread each")),
    ],
)
def test_a_worker_per_card_unless_more_are_asked_for(
    seen: int, workers: int | None, runs: int, expected: tuple[int, int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "available_cores", lambda: 16)
    monkeypatch.setattr(cards, "driver_cards", lambda: seen)
    monkeypatch.setattr(cards, "torch_has_cuda", lambda: True)
    for name in (*THREADS, cards.VARIABLE):
        monkeypatch.delenv(name, raising=False)
    found = shares_of(workers, runs, "auto")
    assert (found.workers, found.threads, found.text()) == expected
    assert found.cards == tuple(map(str, range(seen)))
    assert shares_of(None, 99, "cpu") == (16, 1, "", ()), "runs on the CPU use every core"
