from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from xtc_study.analysis.collect import states
from xtc_study.recipe import Recipe
from xtc_study.runs.lease import LeaseError, held
from xtc_study.runs.store import LATENCY, RESULT_FILES, RunFolder, now, write_json
from xtc_study.studies import PlannedRun

RECIPE = Recipe.of(task="cola", weight_bits=2)
PREDICTIONS = pd.DataFrame({"idx": [0, 1], "label": [1, 0], "prediction": [1.0, 1.0]})
METRICS = {"rows": [], "size_bytes": 1, "size_bytes_paper": 1, "teacher_size_bytes": 1}
CURVE = [{"phase": "quantise", "stage": 1, "step": 5, "term": "hidden", "value": 0.25}]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "runs", RECIPE)


def read(run: RunFolder, name: str) -> Any:
    return json.loads((run.path / name).read_text())


def finish(run: RunFolder, state: str = "done") -> None:
    run.write_results(METRICS, PREDICTIONS, CURVE, {"device": "cpu"})
    run.finish(state, now(), 1.25)


def test_a_claim_says_who_and_what(run: RunFolder) -> None:
    token = run.acquire()
    assert token
    claim, params = read(run, "claim.json"), read(run, "params.json")
    assert (claim["token"], claim["host"], claim["pid"]) == (token, socket.gethostname(), os.getpid())
    assert params == {"version": 1, "run_id": RECIPE.run_id, "recipe": RECIPE.model_dump(mode="json")}
    assert Recipe.of(**params["recipe"]).run_id == run.path.name == RECIPE.run_id
    assert not run.is_done()


PROGRAM = """
import sys
from pathlib import Path
import pandas as pd
from xtc_study.recipe import Recipe
from xtc_study.runs.store import RunFolder, now
run = RunFolder(Path(sys.argv[1]), Recipe.of(task="cola", weight_bits=2))
print("ready", flush=True)
what = sys.stdin.readline().strip()
token = run.acquire()
if what == "finish" and token:
    metrics = {"rows": [], "size_bytes": 2, "size_bytes_paper": 2, "teacher_size_bytes": 2}
    run.write_results(metrics, pd.DataFrame({"idx": [0]}), [], {})
    run.finish("done", now(), 1.0)
print(token, flush=True)
sys.stdin.readline()
"""


class Another:
    """Another process that claims the run when told to, and lives on."""

    def __init__(self, run: RunFolder) -> None:
        command = [sys.executable, "-c", PROGRAM, str(run.path.parent)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.told = False

    def ready(self) -> None:
        assert self.process.stdout
        assert self.process.stdout.readline() == "ready\n"

    def tell(self, what: str) -> None:
        assert self.process.stdin
        self.told = True
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()

    def answers(self, seconds: float) -> bool:
        return bool(select.select([self.process.stdout], [], [], seconds)[0])

    def token(self) -> str | None:
        assert self.process.stdout
        text = self.process.stdout.readline().strip()
        return None if text == "None" else text


@pytest.fixture
def another(run: RunFolder) -> Iterator[Callable[[], Another]]:
    made: list[Another] = []

    def make() -> Another:
        made.append(Another(run))
        return made[-1]

    yield make
    for one in made:
        one.process.communicate("\n\n")


def test_a_run_finished_while_it_is_claimed_keeps_its_results(run: RunFolder, another: Callable[[], Another]) -> None:
    """Between finding the run not done and claiming it, its holder may have finished it."""
    rival = another()
    rival.ready()

    class Slow(RunFolder):
        def is_done(self) -> bool:
            done = super().is_done()
            if not rival.told:
                rival.tell("finish")
                rival.answers(1)
            return done

    ours, theirs = Slow(run.path.parent, RECIPE).acquire(), rival.token()
    if theirs:
        assert ours is None
        assert run.is_done()
        assert read(run, "metrics.json")["size_bytes"] == 2
    else:
        assert read(run, "claim.json")["token"] == ours


def test_a_run_from_claim_to_done(run: RunFolder) -> None:
    run.acquire()
    finish(run)
    assert run.is_done()
    assert not (run.path / "claim.json").exists()
    assert read(run, "metrics.json") == METRICS
    assert read(run, "environment.json") == {"device": "cpu"}
    pd.testing.assert_frame_equal(pd.read_parquet(run.path / "predictions.parquet"), PREDICTIONS)
    assert (run.path / "curve.csv").read_text() == "phase,stage,step,term,value\nquantise,1,5,hidden,0.25\n"
    status = read(run, "status.json")
    assert (status["state"], status["duration_s"]) == ("done", 1.25)
    assert status["started"] <= status["ended"]
    assert not list(run.path.glob("*.partial"))
    assert run.acquire() is None, "a done run is not claimed again"
    assert run.is_done()


def test_results_alone_are_not_done(run: RunFolder) -> None:
    run.acquire()
    run.write_results({}, PREDICTIONS, CURVE, {})
    assert not run.is_done()
    assert not (run.path / "status.json").exists()


def test_the_status_is_written_last(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    replace = os.replace

    def record(source: Any, target: Any) -> None:
        if Path(target).name != "claim.json":
            written.append(Path(target).name)
        replace(source, target)

    monkeypatch.setattr(os, "replace", record)
    run.acquire()
    run.write_results({}, PREDICTIONS, CURVE, {})
    run.finish("failed", now(), 1.0, {"type": "ValueError", "message": "m"})
    assert written[0] == "params.json"
    assert written[-2:] == ["error.json", "status.json"]
    assert sorted(written) == sorted([*RESULT_FILES, "params.json"])


def test_a_failed_run_is_claimed_again_without_its_old_results(run: RunFolder) -> None:
    run.acquire()
    run.write_results({}, PREDICTIONS, CURVE, {})
    run.finish("failed", now(), 1.0, {"type": "ValueError", "message": "m"})
    assert not run.is_done()
    assert read(run, "error.json")["message"] == "m"
    write_json(run.path / LATENCY, {"ms": 1.0})  # the time of the old file
    assert run.acquire() is not None
    assert (run.path / "claim.json").is_file()
    assert not [name for name in (*RESULT_FILES, LATENCY) if (run.path / name).exists()]


@pytest.mark.parametrize("content", [b"", b'{"state": "do', b"[]", b'"done"', b'{"state": "failed"}', b"\xff\xfe"])
def test_a_corrupt_status_is_not_done(run: RunFolder, content: bytes) -> None:
    run.acquire()
    finish(run)
    (run.path / "status.json").write_bytes(content)
    assert not run.is_done()
    assert run.acquire() is not None


@pytest.mark.parametrize("name", ["metrics.json", "predictions.parquet"])
def test_done_as_in_reports_and_others_are_run_again(name: str, run: RunFolder) -> None:
    planned = [PlannedRun("study", RECIPE.run_id, "arm", RECIPE)]
    run.acquire()
    finish(run)
    assert states(run.path.parent, planned)["state"].item() == "done" and run.is_done()
    (run.path / name).unlink()
    if name == "metrics.json":
        write_json(run.path / name, {"rows": []})
    said = states(run.path.parent, planned).iloc[0]
    assert said["state"] == "corrupt" and name in said["error"]
    assert not run.is_done() and run.acquire() is not None


def test_who_was_taken_over_leaves_the_run_to_its_new_holder(run: RunFolder) -> None:
    run.acquire()
    theirs = {"token": "theirs", "host": "another-machine", "pid": 1}
    write_json(run.path / "claim.json", theirs)
    (run.path / "heartbeat").write_text("theirs 1")
    with pytest.raises(LeaseError, match="another machine took it over"):
        run.finish("failed", now(), 1.0, {"type": "ValueError", "message": "m"})
    assert read(run, "claim.json") == theirs and (run.path / "heartbeat").read_text() == "theirs 1"
    assert not (run.path / "status.json").exists() and not (run.path / "error.json").exists()
    assert held(run.path) is None


def test_no_status_is_not_done(run: RunFolder) -> None:
    assert not run.is_done()


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"a": float("nan")})
    with pytest.raises(TypeError):
        write_json(path, {"a": {1}})
    assert json.loads(path.read_text()) == {"a": 1}
    assert [item.name for item in tmp_path.iterdir()] == ["x.json"]


def test_a_crash_while_writing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})

    def crash(descriptor: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(OSError, match="no space"):
        write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}
