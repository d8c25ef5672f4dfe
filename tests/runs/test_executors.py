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
from templates import A_SECOND, claimers, write_template

from xtc_study.recipe import Recipe
from xtc_study.runs.shares import THREADS, available_cores
from xtc_study.runs.store import RunFolder

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
    write_template(tmp_path / "template.ipynb", A_SECOND)
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
    worker = wait_for(lambda: next(iter(claimers(folder)), None))
    os.kill(worker, signal.SIGKILL)
    said = runner.communicate(timeout=HANG_SECONDS)[0].splitlines()
    assert Counter(line.split()[0] for line in said) == {"done": 4}
    assert all(run.is_done() for run in runs(folder, 4))


def test_killed_runner_leaves_no_process_and_another_takes_over(folder: Path) -> None:
    runner = start(folder, 4)
    wait_for(lambda: len(claimers(folder)) == 2)
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
        "    os.kill(psutil.Process(os.getpid()).ppid(), signal.SIGKILL)\n" + A_SECOND
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


@pytest.mark.parametrize("said", ["1", None])
def test_a_kernel_gets_the_environment_s_threads(said: str | None, folder: Path) -> None:
    template = nbformat.read(folder / "template.ipynb", 4)
    template.cells[-1].source = A_SECOND.replace(
        '"size_bytes": 1,', '"size_bytes": int(os.environ["OMP_NUM_THREADS"]),', 1
    )
    template.cells[-1].source = "import os\n" + template.cells[-1].source.replace("time.sleep(1)", "")
    nbformat.write(template, folder / "template.ipynb")
    (folder / "runner.py").write_text(RUNNER.replace("workers=2", "workers=1"))
    environment = {name: value for name, value in os.environ.items() if name not in THREADS}
    environment |= {} if said is None else {"OMP_NUM_THREADS": said}
    command = [sys.executable, str(folder / "runner.py"), str(folder), "1"]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=300)
    (run,) = runs(folder, 1)
    found = json.loads((run.path / "metrics.json").read_text())["size_bytes"]
    assert found == (available_cores() if said is None else 1)


def _alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
