"""benchmarks/gpu_paths.py: no section costs another its result. The sections here are made up; those of the program
itself run on a CPU with ``--device cpu``."""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from patience import HANG_SECONDS, wait_for

SHORT = 5.0
"""Seconds; sections with a smaller limit hang."""

PROGRAM = """
import json, os, subprocess, sys
name, workdir = sys.argv[1], sys.argv[sys.argv.index("--workdir") + 1]
def note(**details):
    open(os.path.join(workdir, "details.json"), "w").write(json.dumps(details))
note(begun=True)
open(os.environ["DIARY"], "a").write(name + "\\n")
if name == "fails":
    sys.exit("AssertionError: 2 of 3 are wrong")
if name == "hangs":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
    note(child=child.pid)
    open(os.environ["DIARY"] + ".child", "w").close()
    child.wait()
note(said="all is well", number=3) if name != "elsewhere" else note(skipped="not installed")
"""


class Impatient(subprocess.Popen[bytes]):
    """A process whose short limit is over once its child is there, however slow the machine."""

    def wait(self, timeout: float | None = None) -> int:
        if timeout is None or timeout >= SHORT:
            return super().wait(timeout)
        wait_for(Path(os.environ["DIARY"] + ".child").exists)
        raise subprocess.TimeoutExpired(self.args, timeout)


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The program with made-up sections; it notes each that it starts in a diary."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    import gpu_paths

    (tmp_path / "programs").mkdir()
    (tmp_path / "programs" / "gpu_section.py").write_text(PROGRAM)
    monkeypatch.setenv("DIARY", str(tmp_path / "diary"))
    monkeypatch.setattr(gpu_paths, "PATIENCE", 1.0)
    monkeypatch.setattr(gpu_paths.subprocess, "Popen", Impatient)
    monkeypatch.setattr(gpu_paths, "HERE", tmp_path / "programs")
    monkeypatch.setattr(gpu_paths, "code_digest", lambda: "one")
    return gpu_paths


def run(program: ModuleType, folder: Path, *names: str, **options: Any) -> dict[str, str]:
    (folder / "diary").write_text("")
    chosen = {"device": "cpu", "again": False, "limit": 10 * HANG_SECONDS, "output": folder / "out", "jobs": 2}
    limit = {"hangs": SHORT - 1}
    sections = [
        program.Section(name, limit.get(name, HANG_SECONDS), name, needs_gpu=name == "gpu", alone=name == "last")
        for name in names
    ]
    states: dict[str, str] = program.run_sections(sections, argparse.Namespace(**{**chosen, **options}))
    return states


def started(folder: Path) -> list[str]:
    return (folder / "diary").read_text().split()


def results(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "out" / "gpu_paths.json").read_text())
    return found


def test_a_section_that_fails_or_hangs_costs_the_others_nothing(
    program: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    states = run(program, tmp_path, "fails", "hangs", "gpu", "elsewhere", "works")
    assert states == {
        "fails": "failed",
        "hangs": "out of time",
        "gpu": "skipped",
        "elsewhere": "skipped",
        "works": "passed",
    }
    found = results(tmp_path)
    assert found["fails"]["said"] == "AssertionError: 2 of 3 are wrong" == found["fails"]["log"][-1]
    assert found["hangs"]["said"] == "stopped after 4 s" and found["gpu"]["said"] == "needs a GPU"
    assert (found["works"]["details"], found["works"]["said"]) == ({"number": 3}, "all is well")
    assert found["elsewhere"]["said"] == "not installed" and {one["code"] for one in found.values()} == {"one"}
    child = found["hangs"]["details"]["child"]
    wait_for(lambda: not _is_there(child))
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "1 failed, 1 out of time, 2 skipped, 1 passed" and len(lines) == 6


def test_another_call_goes_on_where_the_first_one_ended(
    program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(program, tmp_path, "works", "fails", "last", limit=5.0) == dict.fromkeys(
        ("works", "fails", "last"), "not reached"
    )
    assert started(tmp_path) == []
    run(program, tmp_path, "works", "fails")
    assert run(program, tmp_path, "works", "fails", "last")["works"] == "passed"
    assert started(tmp_path) == ["fails", "last"] and set(results(tmp_path)) == {"works", "fails", "last"}
    run(program, tmp_path, "works", again=True)
    assert started(tmp_path) == ["works"]
    monkeypatch.setattr(program, "code_digest", lambda: "two")
    run(program, tmp_path, "works")
    assert started(tmp_path) == ["works"], "what another code passed counts for nothing"
    (tmp_path / "out" / "gpu_paths.json").write_text("{")
    run(program, tmp_path, "works")
    assert started(tmp_path) == ["works"]


@pytest.mark.parametrize(
    ("cards", "has_cuda", "torch_sees_one", "why"),
    [
        (1, True, "False", ""),
        (0, True, "True", ""),  # the driver's library is where we do not look
        (0, True, "False", "neither the driver nor torch shows a card here"),
        (0, True, "", "neither the driver nor torch shows a card here"),  # torch does not even start
        (1, False, "False", "torch is missing or was built without CUDA"),
    ],
)
def test_why_nothing_can_run_on_a_gpu(
    cards: int, has_cuda: bool, torch_sees_one: str, why: str, program: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = subprocess.CompletedProcess([], 0, torch_sees_one, "")
    monkeypatch.setattr(program, "driver_cards", lambda: cards)
    monkeypatch.setattr(program, "torch_has_cuda", lambda: has_cuda)
    monkeypatch.setattr(program.subprocess, "run", lambda *words, **options: done)
    assert program.why_no_gpu() == why


def test_without_a_gpu_it_ends_with_one_line(
    program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "why_no_gpu", lambda: "nothing here")
    monkeypatch.setattr(sys, "argv", ["gpu_paths.py", "--output", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as end:
        program.main()
    message = "error: nothing here; test-gpu needs a CUDA GPU (--device cpu only tries the program itself)"
    assert end.value.code == message and not (tmp_path / "out").exists()


def test_the_program_s_sections_are_those_that_it_can_start(program: ModuleType) -> None:
    import gpu_section

    assert [section.name for section in program.SECTIONS] == list(gpu_section.SECTIONS)


def test_curves_differ_by_their_largest_relative_difference(program: ModuleType) -> None:
    from gpu_trainings import curves_differ

    def curve(*values: float, term: str = "logits") -> list[dict[str, Any]]:
        return [{"phase": "q", "stage": 1, "step": n, "term": term, "value": v} for n, v in enumerate(values)]

    assert curves_differ(curve(1.0, 2.0), curve(1.0, 2.0)) == 0.0
    assert curves_differ(curve(1.0, 2.0), curve(1.0, 1.5)) == 0.25  # 0.5 of the larger, 2
    assert curves_differ(curve(0.0), curve(0.0)) == 0.0
    assert curves_differ(curve(1.0, 2.0), curve(1.0)) == math.inf
    assert curves_differ(curve(0.9, term="dev score"), curve(0.1, term="dev score")) == 0.0


def _is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
