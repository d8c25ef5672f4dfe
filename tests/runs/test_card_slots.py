"""Threads of a user's executor spread over the cards of a machine; the cards are made up, the locks are real."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from xtc_study.runs import card_slots, cards
from xtc_study.runs.card_slots import card_of_this_thread


@pytest.fixture(autouse=True)
def two_cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(cards, "driver_cards", lambda: 2)
    monkeypatch.setattr(cards, "torch_has_cuda", lambda: True)
    monkeypatch.delenv(cards.VARIABLE, raising=False)
    monkeypatch.setattr(card_slots, "_folder", lambda: tmp_path / "slots")
    yield
    card_slots._thread.__dict__.clear()


def test_threads_spread_evenly_and_keep_their_card() -> None:
    together = Barrier(5)

    def runs_of_a_thread(_: int) -> list[str | None]:
        first = card_of_this_thread("auto")
        together.wait(60)
        return [first, card_of_this_thread("auto")]

    with ThreadPoolExecutor(5) as pool:
        chosen = list(pool.map(runs_of_a_thread, range(5)))
    assert all(first == second for first, second in chosen)
    assert Counter(first for first, _ in chosen) == {"0": 3, "1": 2}


def test_another_process_of_the_user_counts_and_frees_its_slot_when_it_ends(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from xtc_study.runs.card_slots import _take_slot\n"
        "slot = _take_slot(('0', '1'), Path(sys.argv[1]))\n"
        "print(slot[0], flush=True)\n"
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "slots")]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None and other.stdout.readline() == "0\n"
    assert card_of_this_thread("cuda") == "1"
    other.kill()
    other.wait()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(card_of_this_thread, "cuda").result() == "0"


def test_a_worker_whose_environment_names_cards_keeps_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """dask-cuda sets the variable in each worker: its own card first, then the others."""
    monkeypatch.setenv(cards.VARIABLE, "1,0")
    assert card_of_this_thread("auto") is None
    monkeypatch.delenv(cards.VARIABLE)
    assert card_of_this_thread("cpu") is None
    monkeypatch.setattr(cards, "driver_cards", lambda: 1)
    assert card_of_this_thread("auto") is None
    assert not (tmp_path / "slots").exists()


def test_a_folder_that_cannot_be_written_leaves_the_choice_to_cuda(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(card_slots, "_folder", lambda: tmp_path / "file" / "slots")
    assert card_of_this_thread("auto") is None
