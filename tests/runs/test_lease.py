"""One process at a time, whatever happens to the others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from patience import wait_for

from xtc_study.runs import lease
from xtc_study.runs.lease import STALE_SECONDS, Lease, held, holder, is_held, lapsed, take, watch

PROGRAM = """
import sys
from pathlib import Path
from xtc_study.runs.lease import take
folder = Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
lease = take(folder)
print(lease.token if lease else "", flush=True)
sys.stdin.readline()
"""


class Another:
    """Another process that claims the folder when told to, and lives until it is killed or the test is over."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-c", PROGRAM, str(folder)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.line() == "ready"

    def line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def tell(self) -> None:
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def another(tmp_path: Path) -> Iterator[Callable[[], Another]]:
    made: list[Another] = []

    def make() -> Another:
        made.append(Another(tmp_path))
        return made[-1]

    yield make
    for one in made:
        one.kill()


@pytest.fixture(autouse=True)
def nothing_held() -> Iterator[None]:
    yield
    for ours in list(lease._held.values()):
        ours.release()


def elsewhere(folder: Path, beat: str = "t 1") -> None:
    (folder / "claim.json").write_text(json.dumps({"token": "t", "host": "another-machine", "pid": os.getpid()}))
    (folder / "heartbeat").write_text(beat)


def test_a_claim_is_held_once_and_can_be_given_up(tmp_path: Path) -> None:
    ours = take(tmp_path)
    assert ours is not None and held(tmp_path) is ours and holder(tmp_path)["token"] == ours.token
    assert is_held(tmp_path) and take(tmp_path) is None
    renewed = take(tmp_path, again=True)
    assert renewed is not None and renewed.token != ours.token == ours.token and is_held(tmp_path)
    renewed.release()
    assert not is_held(tmp_path) and held(tmp_path) is None and holder(tmp_path) == {}
    assert take(tmp_path) is not None


def test_what_another_process_holds_is_free_when_it_is_killed(tmp_path: Path, another: Callable[[], Another]) -> None:
    rival = another()
    rival.tell()
    token = rival.line()
    assert token and holder(tmp_path)["token"] == token and holder(tmp_path)["pid"] == rival.process.pid
    assert is_held(tmp_path) and take(tmp_path) is None and take(tmp_path, again=True) is None
    rival.kill()
    assert not is_held(tmp_path)
    ours = take(tmp_path)
    assert ours is not None and holder(tmp_path)["token"] == ours.token


def test_of_processes_at_once_one_gets_it(tmp_path: Path, another: Callable[[], Another]) -> None:
    rivals = [another() for _ in range(3)]
    for rival in rivals:
        rival.tell()
    tokens = [token for token in (rival.line() for rival in rivals) if token]
    assert tokens == [holder(tmp_path)["token"]]


def test_of_threads_at_once_one_gets_it(tmp_path: Path) -> None:
    """An executor may be a pool of threads."""
    barrier = Barrier(8)

    def take_it(_: int) -> str | None:
        barrier.wait()
        got = take(tmp_path)
        return got.token if got else None

    with ThreadPoolExecutor(8) as pool:
        winners = [token for token in pool.map(take_it, range(8)) if token]
    assert winners == [holder(tmp_path)["token"]]


@pytest.mark.parametrize("content", ['{"token": "th', "null", "[]", '{"host": 3}', ""])
def test_damaged_claim_file_does_not_block(tmp_path: Path, content: str) -> None:
    (tmp_path / "claim.json").write_text(content)
    assert take(tmp_path) is not None


def test_a_reused_process_id_blocks_no_other(tmp_path: Path) -> None:
    import socket

    dead = {"token": "theirs", "host": socket.gethostname(), "pid": os.getpid()}
    (tmp_path / "claim.json").write_text(json.dumps(dead))
    assert not is_held(tmp_path) and take(tmp_path) is not None


def test_another_machine_is_respected_while_its_heart_beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(lease.time, "monotonic", lambda: now[0])
    elsewhere(tmp_path)
    for beat in range(3):
        (tmp_path / "heartbeat").write_text(f"t {beat}")
        assert is_held(tmp_path) and take(tmp_path) is None
        now[0] += STALE_SECONDS - 1
        assert take(tmp_path) is None
    now[0] += 1
    assert not is_held(tmp_path) and take(tmp_path) is not None


def test_what_one_process_found_dead_another_takes_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(lease.time, "monotonic", lambda: now[0])
    elsewhere(tmp_path)
    assert lapsed(tmp_path) == ""
    now[0] += STALE_SECONDS
    dead = lapsed(tmp_path)
    assert dead
    lease._seen.clear()  # as in a new process
    assert take(tmp_path, dead="") is None and take(tmp_path, dead="another claim") is None
    (tmp_path / "heartbeat").write_text("t 2")
    assert take(tmp_path, dead=dead) is None, "it lives after all"
    (tmp_path / "heartbeat").write_text("t 1")
    assert take(tmp_path, dead=dead) is not None


def test_watch_ends_with_a_heartbeat_or_after_stale_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, looks, said = [1000.0], [0], []
    alive, dead = tmp_path / "alive", tmp_path / "dead"

    def sleep(seconds: float) -> None:
        now[0] += 10
        looks[0] += 1
        (alive / "heartbeat").write_text(f"t {looks[0]}")

    monkeypatch.setattr(lease.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(lease.time, "sleep", sleep)
    for folder in (alive, dead):
        folder.mkdir()
        elsewhere(folder, "t 0")
    watch([alive], said.append)
    assert looks[0] == 1 and is_held(alive)
    watch([alive, dead], said.append)
    assert looks[0] == 10 and is_held(alive) and not is_held(dead)
    watch([tmp_path], said.append)
    assert (
        len(said) == 3 and said[0] == "alive: held by machine another-machine; waiting for its heartbeat, at most 90 s"
    )


def test_process_that_lost_its_lease_leaves_the_new_one_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.01)
    turns: list[int] = []
    is_ours = Lease.is_ours
    monkeypatch.setattr(Lease, "is_ours", lambda ours: (turns.append(1), is_ours(ours))[1])
    ours = take(tmp_path)
    assert ours is not None

    def two_turns() -> None:
        """A beat that was on its way when this began has then been written, and one more has not."""
        until = len(turns) + 2
        wait_for(lambda: len(turns) >= until)

    elsewhere(tmp_path, "t 7")
    two_turns()
    elsewhere(tmp_path, "t 8")
    two_turns()
    assert (tmp_path / "heartbeat").read_text() == "t 8" and not ours.is_ours()
    ours.release()
    assert holder(tmp_path)["token"] == "t" and (tmp_path / "heartbeat").read_text() == "t 8"
    assert held(tmp_path) is None


@pytest.mark.parametrize("jump", [-10 * 365 * 86400, 10 * 365 * 86400], ids=["ten years back", "ten years on"])
def test_a_clock_that_jumps_frees_nothing_and_holds_nothing_up(
    tmp_path: Path, another: Callable[[], Another], jump: int
) -> None:
    rival = another()
    rival.tell()
    rival.line()
    for name in ("claim.json", "claim.lock"):  # as files look after the clock was set
        os.utime(tmp_path / name, (max(0, time.time() + jump),) * 2)
    assert is_held(tmp_path) and take(tmp_path) is None
    rival.kill()
    assert not is_held(tmp_path) and take(tmp_path) is not None


def test_heartbeat_counts_while_the_lease_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.01)
    ours = take(tmp_path)
    assert ours is not None
    wait_for((tmp_path / "heartbeat").exists)
    token, count = (tmp_path / "heartbeat").read_text().split()
    assert token == ours.token and int(count) >= 1


def test_a_folder_that_cannot_be_written_is_an_error_and_nothing_is_held(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        take(tmp_path / "file")
    assert held(tmp_path / "file") is None
