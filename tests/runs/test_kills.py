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

import nbformat
import pandas as pd
import psutil
from nbformat.v4 import new_code_cell, new_notebook

from xtc_study.recipe import Recipe
from xtc_study.runs.store import RunFolder

KILLS = int(os.environ.get("XTC_KILLS", "6"))
RUNS = 24 if KILLS > 50 else 8

CELL = """
import time
from pathlib import Path
import pandas as pd
from xtc_study.recipe import Recipe
from xtc_study.runs.by_notebook import NotebookRun
run = NotebookRun(Path(results_dir), Recipe.from_names(globals()), claim)
time.sleep(0.3)
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
    fields = "\n".join(f"{field} = None" for field in Recipe.model_fields)
    parameters = new_code_cell(f"{fields}\nresults_dir = ''\nclaim = ''", metadata={"tags": ["parameters"]})
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(new_notebook(cells=[parameters, new_code_cell(CELL)], metadata=kernel), tmp_path / "template.ipynb")
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

    runner = start()
    while sum(killed.values()) < KILLS and not all(run.is_done() for run in runs):
        # Long enough between kills for some runs to come to an end, short enough to hit every moment of one.
        time.sleep(rng.uniform(0.2, 1.5))
        look()
        kind, process = _victim(runner, rng)
        if process is None:
            runner = start()  # it had come to an end: some runs had failed, as their kernels were killed
            continue
        try:
            os.kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        killed[kind] += 1
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


def _victim(runner: psutil.Popen, rng: random.Random) -> tuple[str, psutil.Process | None]:
    """A random living process of the runner's family, each kind as likely as another."""
    kinds: dict[str, list[psutil.Process]] = {"kernel": [], "worker": [], "runner": []}
    try:
        if runner.poll() is not None:
            return "", None
        kinds["runner"].append(runner)
        for process in runner.children(recursive=True):
            command = " ".join(process.cmdline())
            if "ipykernel_launcher" in command:
                kinds["kernel"].append(process)
            elif "spawn_main" in command:
                kinds["worker"].append(process)
    except psutil.NoSuchProcess:
        pass
    kind = rng.choice([kind for kind, found in kinds.items() if found])
    return kind, rng.choice(kinds[kind])
