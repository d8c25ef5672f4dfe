"""Random kill -9s over notebook kernels, workers and the runner. ``make stress`` does 200; the test suite a few."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
from templates import write_template

from xtc_study.recipe import Recipe
from xtc_study.runs.store import RunFolder

KILLS = int(os.environ.get("XTC_KILLS", "6"))
RUNS, WORK_SECONDS = (24, 3.0) if KILLS > 50 else (8, 0.3)

CELL = """
import time
from pathlib import Path
import pandas as pd
from xtc_study.recipe import Recipe
from xtc_study.runs.by_notebook import NotebookRun
run = NotebookRun(Path(results_dir), Recipe.from_names(globals()), claim)
time.sleep(WORK)
rows = [{"split": "dev", "metric": "accuracy", "value": seed / 100, "n_examples": 500}]
sizes = {"size_bytes": 1, "size_bytes_paper": 1, "teacher_size_bytes": 1}
run.record({"rows": rows, **sizes}, pd.DataFrame({"idx": range(500), "seed": seed}), [], "cpu", "fp32")
"""

RUNNER = """
import sys
from pathlib import Path
from xtc_study.recipe import Recipe
from xtc_study.runs.executors import run_recipes
if __name__ == "__main__":
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    recipes = [Recipe.of(task="cola", seed=seed) for seed in range(count)]
    for outcome in run_recipes(recipes, folder / "results", folder / "template.ipynb", {}, workers=2):
        print(outcome["state"], outcome["run_id"], flush=True)
"""


def test_at_the_end_every_run_is_done_exactly_once(tmp_path: Path) -> None:
    write_template(tmp_path / "template.ipynb", CELL.replace("WORK", str(WORK_SECONDS)))
    (tmp_path / "runner.py").write_text(RUNNER)
    runs = [RunFolder(tmp_path / "results" / "runs", Recipe.of(task="cola", seed=seed)) for seed in range(RUNS)]
    first_done: dict[Path, tuple[int, int]] = {}
    rng, killed = random.Random(0), {"kernel": 0, "worker": 0, "runner": 0}

    def look() -> None:
        """A run seen done must be whole, and must never be touched again."""
        for run in runs:
            if run.is_done():
                stat = (run.path / "status.json").stat()
                seen = first_done.setdefault(run.path, (stat.st_mtime_ns, stat.st_ino))
                assert seen == (stat.st_mtime_ns, stat.st_ino), f"{run.path.name} was done and was done again"
                assert json.loads((run.path / "metrics.json").read_text())["rows"][0]["value"] == run.recipe.seed / 100

    def start() -> psutil.Popen:
        command = [sys.executable, str(tmp_path / "runner.py"), str(tmp_path), str(RUNS)]
        return psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    runner, kind = start(), "kernel"
    while sum(killed.values()) < KILLS and not all(run.is_done() for run in runs):
        look()
        process = _victim(runner, kind, rng)
        if process is None:  # not there yet, or the runner came to an end: some runs failed, as kernels were killed
            if runner.poll() is not None:
                runner = start()
            time.sleep(0.05)
            continue
        time.sleep(rng.uniform(0, WORK_SECONDS + 0.5))
        try:
            os.kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        killed[kind] += 1
        kind = rng.choice(list(killed))
        if process.pid == runner.pid:
            runner.wait()
            runner = start()
    for _ in range(4):
        runner.wait(timeout=300)
        if all(run.is_done() for run in runs):
            break
        runner = start()
    look()
    assert all(run.is_done() for run in runs) and len(first_done) == RUNS
    for run in runs:
        assert len(pd.read_parquet(run.path / "predictions.parquet")) == 500
        assert not list(run.path.glob("*.partial")) and not (run.path / "claim.json").exists()
    print(f"killed {killed} over {RUNS} runs")
    assert sum(killed.values()) > 0


def _victim(runner: psutil.Popen, kind: str, rng: random.Random) -> psutil.Process | None:
    """A random living process of that kind in the runner's family."""
    if runner.poll() is not None:
        return None
    if kind == "runner":
        return runner
    sign = {"kernel": "ipykernel_launcher", "worker": "spawn_main"}[kind]
    found = []
    try:
        for process in runner.children(recursive=True):
            if sign in " ".join(process.cmdline()):
                found.append(process)
    except psutil.NoSuchProcess:
        return None
    return rng.choice(found) if found else None
