from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from xtc_study.runs.step_store import StepStore, UnreadableStepError


@pytest.fixture
def store(tmp_path: Path) -> StepStore:
    return StepStore(tmp_path / "deep" / "steps")


def fill(folder: Path) -> dict[str, Any]:
    (folder / "model.bin").write_text("weights")
    return {"seconds": 1.5}


def never(folder: Path) -> dict[str, Any]:
    raise AssertionError("made twice")


def test_made_once(store: StepStore) -> None:
    assert not store.is_done("teacher-1")
    folder, made = store.once("teacher-1", fill)
    assert made
    assert folder == store.folder("teacher-1")
    assert store.is_done("teacher-1")
    assert store.record("teacher-1") == {"seconds": 1.5}
    assert (folder / "model.bin").read_text() == "weights"
    assert store.once("teacher-1", never) == (folder, False)
    assert not store.is_done("teacher-2")


def test_the_folder_it_fills_is_empty_and_not_yet_the_steps(store: StepStore) -> None:
    def make(folder: Path) -> dict[str, Any]:
        assert list(folder.iterdir()) == []
        assert not store.is_done("a")
        assert not store.folder("a").exists()
        return {}

    assert store.once("a", make)[1]


def test_failed_step_leaves_nothing_and_the_next_caller_retries(store: StepStore) -> None:
    def fail(folder: Path) -> dict[str, Any]:
        (folder / "model.bin").write_text("half")
        raise FloatingPointError("the loss is nan")

    with pytest.raises(FloatingPointError, match="the loss is nan"):
        store.once("a", fail)
    assert not store.is_done("a")
    assert [path.name for path in store.root.iterdir() if path.is_dir()] == []
    assert store.once("a", fill)[1]
    assert sorted(path.name for path in store.folder("a").iterdir()) == ["model.bin", "step.json"]


def test_unreadable_step_is_kept_and_not_trained_again(store: StepStore) -> None:
    def unreadable(folder: Path) -> dict[str, Any]:
        (folder / "model.bin").write_text("evidence")
        store.checkpoints("a").mkdir()
        raise UnreadableStepError("teacher of bert: two names differ")

    message = r"step a was made before, .*\(teacher of bert: two names differ\)\. It is not made again.*a\.unreadable"
    with pytest.raises(UnreadableStepError, match=message):
        store.once("a", unreadable)
    for _ in range(2):
        with pytest.raises(UnreadableStepError, match=message):
            store.once("a", never)
    assert not store.is_done("a") and store.records() == {}
    assert [path.name for path in store.root.iterdir() if path.is_dir()] == ["a.unreadable"]
    assert (store.unreadable("a") / "model.bin").read_text() == "evidence"
    (store.unreadable("a") / "failure.json").write_text("{")
    with pytest.raises(UnreadableStepError, match=r"failure\.json cannot be read either"):
        store.once("a", never)
    shutil.rmtree(store.unreadable("a"))
    assert store.once("a", fill)[1]


def test_a_record_json_cannot_hold_leaves_nothing(store: StepStore) -> None:
    with pytest.raises(TypeError):
        store.once("a", lambda folder: {"x": {1}})
    assert not store.is_done("a")
    assert store.once("a", fill)[1]


def test_what_a_crash_left_is_removed(store: StepStore) -> None:
    for name in ("a.partial", "a"):
        (store.root / name).mkdir(parents=True)
        (store.root / name / "half").write_text("x")
    folder, made = store.once("a", fill)
    assert made
    assert sorted(path.name for path in folder.iterdir()) == ["model.bin", "step.json"]
    assert not (store.root / "a.partial").exists()


def test_of_threads_at_once_one_makes_it(store: StepStore) -> None:
    made: list[int] = []
    barrier = Barrier(4)

    def make(folder: Path) -> dict[str, Any]:
        made.append(1)
        time.sleep(0.05)
        return fill(folder)

    def ask(_: int) -> bool:
        barrier.wait()
        folder, mine = store.once("a", make)
        assert (folder / "step.json").is_file()
        return mine

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(ask, range(4))) == [False, False, False, True]
    assert len(made) == 1


def test_a_step_may_ask_for_another(store: StepStore) -> None:
    def child(folder: Path) -> dict[str, Any]:
        return {"parent": str(store.once("parent", fill)[1])}

    store.once("child", child)
    assert store.record("child") == {"parent": "True"}
    assert store.is_done("parent")


PROGRAM = """
import sys, time
from pathlib import Path
from xtc_study.runs.step_store import StepStore, UnreadableStepError
root = Path(sys.argv[1])

def make(folder):
    with open(root / "made.txt", "a") as file:
        file.write("x")
    time.sleep(0.3)
    return {}

sys.stdin.readline()
folder, made = StepStore(root).once("a", make)
print(made, (folder / "step.json").is_file())
"""


def test_of_processes_at_once_one_makes_it(store: StepStore) -> None:
    store.root.mkdir(parents=True)
    command = [sys.executable, "-c", PROGRAM, str(store.root)]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    said = sorted(process.communicate()[0].strip() for process in processes)
    assert said == ["False True", "False True", "True True"]
    assert (store.root / "made.txt").read_text() == "x"


KILLED = """
import os, sys
from pathlib import Path
from xtc_study.runs.step_store import StepStore, UnreadableStepError

def make(folder):
    (folder / "half").write_text("x")
    os._exit(9)

StepStore(Path(sys.argv[1])).once("a", make)
"""


def test_a_killed_process_blocks_no_other(store: StepStore) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(store.root)])
    assert done.returncode == 9
    assert not store.is_done("a")
    assert os.listdir(store.root / "a.partial") == ["half"]
    folder, made = store.once("a", fill)
    assert made
    assert sorted(os.listdir(folder)) == ["model.bin", "step.json"]
