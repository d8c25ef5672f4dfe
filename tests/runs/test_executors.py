"""Runs carried out by real processes, some of which are killed. The notebook takes a second and trains nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import nbformat
import psutil
import pytest
from patience import HANG_SECONDS, wait_for
from templates import write_template

from xtc_study.recipe import Recipe
from xtc_study.runs import executors
from xtc_study.runs.executors import available_cores, dask_executor, run_recipes, shares_of
from xtc_study.runs.store import RunFolder

CELL = """
import time
from pathlib import Path
import pandas as pd
from xtc_study.recipe import Recipe
from xtc_study.runs.notebook_run import NotebookRun
run = NotebookRun(Path(results_dir), Recipe.from_names(globals()), claim)
time.sleep(1)
metrics = {"rows": [], "size_bytes": 1, "size_bytes_paper": 1, "teacher_size_bytes": 1}
run.record(metrics, pd.DataFrame({"idx": [0]}), [], "cpu", "fp32")
"""

RUNNER = """
import signal
import sys
from pathlib import Path
from xtc_study.recipe import Recipe
from xtc_study.runs.executors import run_recipes
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts a command in the background deaf to it
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    recipes = [Recipe.of(task="cola", seed=seed) for seed in range(count)]
    for outcome in run_recipes(recipes, folder / "results", folder / "template.ipynb", {}, workers=2):
        print(outcome["state"], outcome["run_id"], flush=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_template(tmp_path / "template.ipynb", CELL)
    (tmp_path / "runner.py").write_text(RUNNER)
    return tmp_path


def start(folder: Path, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, str(folder / "runner.py"), str(folder), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def runs(folder: Path, count: int) -> list[RunFolder]:
    return [RunFolder(folder / "results" / "runs", Recipe.of(task="cola", seed=seed)) for seed in range(count)]


@pytest.mark.parametrize("count", [2, 4])
def test_runners_on_one_folder_share_the_runs(folder: Path, count: int) -> None:
    runners = [start(folder, 6) for _ in range(count)]
    said = [line for runner in runners for line in runner.communicate(timeout=HANG_SECONDS)[0].splitlines()]
    states = Counter(line.split()[0] for line in said)
    assert states == {"done": 6, "elsewhere": 6 * (count - 1)}
    assert len({line for line in said if line.startswith("done")}) == 6
    assert all(run.is_done() for run in runs(folder, 6))


def test_a_killed_worker_is_replaced_and_its_run_done(folder: Path) -> None:
    runner = start(folder, 4)
    worker = wait_for(lambda: next(iter(_claimers(folder)), None))
    os.kill(worker, signal.SIGKILL)
    said = runner.communicate(timeout=HANG_SECONDS)[0].splitlines()
    assert Counter(line.split()[0] for line in said) == {"done": 4}
    assert all(run.is_done() for run in runs(folder, 4))


def test_killed_runner_leaves_no_process_and_another_takes_over(folder: Path) -> None:
    runner = start(folder, 4)
    wait_for(lambda: len(_claimers(folder)) == 2)
    family = psutil.Process(runner.pid).children(recursive=True)
    os.kill(runner.pid, signal.SIGKILL)
    runner.wait()
    wait_for(lambda: not any(_alive(process) for process in family))
    said = start(folder, 4).communicate(timeout=HANG_SECONDS)[0].splitlines()
    assert {line.split()[0] for line in said} <= {"done", "elsewhere"} and len(said) == 4
    assert all(run.is_done() for run in runs(folder, 4))


def test_ctrl_c_stops_runner_workers_and_kernels(folder: Path) -> None:
    """As a terminal sends it: to the whole process group. Neither is a run failed by it, nor the next one begun."""
    template = nbformat.read(folder / "template.ipynb", 4)
    template.cells[-1].source += "\ntime.sleep(3600)"
    nbformat.write(template, folder / "template.ipynb")
    command = [sys.executable, str(folder / "runner.py"), str(folder), "4"]
    pipe = subprocess.PIPE
    runner = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True)
    wait_for(lambda: len(list((folder / "results").glob("runs/*/metrics.json"))) == 2)
    family = psutil.Process(runner.pid).children(recursive=True)
    os.killpg(runner.pid, signal.SIGINT)
    said, errors = runner.communicate(timeout=HANG_SECONDS)
    assert said == "" and errors.count("Traceback") == 1 and errors.endswith("KeyboardInterrupt\n")
    wait_for(lambda: not any(_alive(process) for process in family))
    assert len(list((folder / "results").glob("runs/*"))) == 2
    assert not list((folder / "results").glob("runs/*/status.json"))


def test_run_that_kills_its_workers_fails_and_others_are_done(folder: Path) -> None:
    template = nbformat.read(folder / "template.ipynb", 4)
    template.cells[-1].source = (
        "import os, psutil, signal\n"
        "if seed == 1:\n"
        "    os.kill(psutil.Process(os.getpid()).ppid(), signal.SIGKILL)\n" + CELL
    )
    nbformat.write(template, folder / "template.ipynb")
    said = start(folder, 3).communicate(timeout=HANG_SECONDS)[0].splitlines()
    assert Counter(line.split()[0] for line in said) == {"done": 2, "failed": 1}
    assert [run.is_done() for run in runs(folder, 3)] == [True, False, True]


WATCHER = """
import sys
from pathlib import Path
from xtc_study.recipe import Recipe
from xtc_study.runs import executors, lease
if __name__ == "__main__":  # so that workers keep their 90 seconds
    lease.STALE_SECONDS, executors.POLL_SECONDS = 0.5, 0.1
    folder = Path(sys.argv[1])
    recipe = Recipe.of(task="cola")
    for outcome in executors.run_recipes([recipe], folder / "results", folder / "template.ipynb", {}, workers=1):
        print(outcome["state"], flush=True)
"""


def test_workers_take_over_the_run_of_a_dead_machine(folder: Path) -> None:
    (run,) = runs(folder, 1)
    run.path.mkdir(parents=True)
    (run.path / "claim.json").write_text('{"token": "t", "host": "a-dead-machine", "pid": 1}')
    (folder / "watcher.py").write_text(WATCHER)
    command = [sys.executable, str(folder / "watcher.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECONDS)
    assert done.stdout.split() == ["done"] and run.is_done()


def test_a_script_without_a_guard_comes_to_an_end_and_says_why(folder: Path) -> None:
    script = RUNNER.replace('if __name__ == "__main__":', "if True:").replace('outcome["run_id"]', 'outcome["error"]')
    (folder / "runner.py").write_text(script)
    command = [sys.executable, str(folder / "runner.py"), str(folder), "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECONDS)
    assert done.stdout.startswith("failed") and 'below a line `if __name__ == "__main__":`' in done.stdout
    assert "RuntimeError: runs cannot be carried out here" in done.stderr


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
    monkeypatch.setattr(executors, "available_cores", lambda: 8)
    for name in executors.THREADS:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    shares = shares_of(workers, runs)
    assert tuple(shares) == expected[:3]
    assert expected[3] in (None, shares.text())


@pytest.mark.parametrize(("omp", "mkl"), [("1", "2"), ("2", "1"), ("", "1"), ("1", "")])
def test_torch_heeds_the_variables_in_this_order(omp: str, mkl: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("OMP_NUM_THREADS", omp), ("MKL_NUM_THREADS", mkl)):
        monkeypatch.setenv(name, value)
        if not value:
            monkeypatch.delenv(name)
    command = [sys.executable, "-c", "import torch; print(torch.get_num_threads())"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) == shares_of(1, 1).threads


@pytest.mark.parametrize("said", ["1", None])
def test_a_kernel_gets_the_environment_s_threads(said: str | None, folder: Path) -> None:
    template = nbformat.read(folder / "template.ipynb", 4)
    template.cells[-1].source = CELL.replace(
        '"size_bytes": 1,', '"size_bytes": int(os.environ["OMP_NUM_THREADS"]),', 1
    )
    template.cells[-1].source = "import os\n" + template.cells[-1].source.replace("time.sleep(1)", "")
    nbformat.write(template, folder / "template.ipynb")
    (folder / "runner.py").write_text(RUNNER.replace("workers=2", "workers=1"))
    environment = {name: value for name, value in os.environ.items() if name not in executors.THREADS}
    environment |= {} if said is None else {"OMP_NUM_THREADS": said}
    command = [sys.executable, str(folder / "runner.py"), str(folder), "1"]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=300)
    (run,) = runs(folder, 1)
    found = json.loads((run.path / "metrics.json").read_text())["size_bytes"]
    assert found == (available_cores() if said is None else 1)


def _claimers(folder: Path) -> list[int]:
    found = []
    for path in (folder / "results").glob("runs/*/claim.json"):
        try:
            found.append(json.loads(path.read_text())["pid"])
        except (OSError, ValueError):
            continue
    return found


def _alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def _dask(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "distributed.cli." + words[0], *words[1:]]
    log = (folder / f"{words[0]}.log").open("wb")
    return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)


def test_dask_workers_carry_out_every_run_though_one_is_killed(folder: Path) -> None:
    """A scheduler and two workers, each a process of its own."""
    address = folder / "scheduler.json"
    port = ["--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0"]
    processes = [_dask(folder, "dask_scheduler", *port, "--scheduler-file", str(address))]
    try:
        wait_for(address.exists)
        name = wait_for(lambda: _json(address).get("address"))
        options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0"]
        processes += [_dask(folder, "dask_worker", name, *options) for _ in range(2)]
        recipes = [Recipe.of(task="cola", seed=seed) for seed in range(4)]
        with dask_executor(name) as executor:
            outcomes = run_recipes(recipes, folder / "results", folder / "template.ipynb", {}, executor=executor)
            said = [next(outcomes)["state"]]
            busy = wait_for(lambda: next(iter(_claimers(folder)), None))
            os.kill(busy, signal.SIGKILL)
            said += [outcome["state"] for outcome in outcomes]
        # An outcome may be lost with the worker that held it; the run is then found done, not carried out again.
        assert len(said) == 4 and set(said) <= {"done", "elsewhere"}
        assert all(run.is_done() for run in runs(folder, 4))
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import distributed

    asked = []

    def unreachable(address: str, **options: object) -> None:
        asked.append(address)
        raise OSError("timed out")

    monkeypatch.setattr(distributed, "Client", unreachable)
    with (
        pytest.raises(ValueError, match=r"--scheduler tcp://127\.0\.0\.1:1: no Dask scheduler answers"),
        dask_executor("tcp://127.0.0.1:1"),
    ):
        pass
    assert asked == [], "no process listens there, so no client waits for an answer"


def _json(path: Path) -> dict:
    try:
        return json.loads(path.read_text())
    except ValueError:
        return {}
