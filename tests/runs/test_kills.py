"""Random kill -9s over notebook kernels, workers and the runner.

``make stress`` does 200 over 24 real runs: run.ipynb, tiny trainings, shared steps. The test suite does a few over a
notebook that only waits.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
from templates import write_template

from xtc_study.chain import chain
from xtc_study.recipe import Recipe
from xtc_study.runs.store import RunFolder
from xtc_study.tasks.generated.toy import DEV_EXAMPLES

KILLS = int(os.environ.get("XTC_KILLS", "6"))
STRESS = KILLS > 50
WORK_SECONDS = 0.3
"""Of the notebook that only waits."""
PATIENCE = (1.0, 5.0, 20.0) if STRESS else (WORK_SECONDS + 0.5,)
"""Maximum seconds that a victim lives on; the longest is about what a run takes, so kills fall everywhere."""
SPARED = 4 if STRESS else 0
"""Runs left when the last kill has fallen; every run before has had its share of them."""
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
QUICK = {"teacher_epochs": 0.5, "epochs": 0.5, "reduce_epochs": 0.25, "max_length": 48}
RATES = {"teacher_learning_rate": 1e-3, "learning_rate": 1e-3, "reduce_learning_rate": 1e-3}

CELL = """
import time
from pathlib import Path
import pandas as pd
from xtc_study.recipe import Recipe
from xtc_study.runs.notebook_run import NotebookRun
run = NotebookRun(Path(results_dir), Recipe.from_names(globals()), claim)
time.sleep(WORK)
rows = [{"split": "dev", "metric": "accuracy", "value": seed / 100, "n_examples": 500}]
sizes = {"size_bytes": 1, "size_bytes_paper": 1, "teacher_size_bytes": 1}
run.record({"rows": rows, **sizes}, pd.DataFrame({"idx": range(500), "seed": seed}), [], "cpu", "fp32")
"""

RUNNER = """
import json, sys
from pathlib import Path
from xtc_study.recipe import Recipe
from xtc_study.runs.executors import run_recipes
if __name__ == "__main__":
    folder, notebook = Path(sys.argv[1]), Path(sys.argv[2])
    recipes = [Recipe.of(**fields) for fields in json.loads((folder / "recipes.json").read_text())]
    for outcome in run_recipes(recipes, folder / "results", notebook, {}, workers=2):
        print(outcome["state"], outcome["run_id"], outcome["error"], flush=True)
"""


def study() -> list[Recipe]:
    """24 runs that share their teachers and reductions, or 8 stand-ins."""
    if not STRESS:
        return [Recipe.of(task="cola", seed=seed) for seed in range(8)]
    arms: list[dict[str, Any]] = [{"weight_bits": 32, "activation_bits": 32}, {"weight_bits": 2}, {"weight_bits": 1}]
    arms += [{"weight_bits": 1, "stages": stages} for stages in (0, 2, 3)]
    arms += [{"layers": layers, "weight_bits": bits} for layers in (1, 2, 3) for bits in (1, 2)]
    return [Recipe.of(task="toy-sentiment", seed=seed, **QUICK, **RATES, **arm) for seed in (0, 1) for arm in arms]


def test_at_the_end_every_run_is_done_exactly_once(tmp_path: Path) -> None:
    notebook = NOTEBOOKS / "run.ipynb"
    if not STRESS:
        notebook = write_template(tmp_path / "template.ipynb", CELL.replace("WORK", str(WORK_SECONDS)))
    (tmp_path / "runner.py").write_text(RUNNER)
    recipes = study()
    (tmp_path / "recipes.json").write_text(json.dumps([recipe.model_dump(mode="json") for recipe in recipes]))
    runs = [RunFolder(tmp_path / "results" / "runs", recipe) for recipe in recipes]
    first_done: dict[Path, tuple[int, int]] = {}
    rng, killed = random.Random(0), dict.fromkeys(("kernel", "stand-in", "server", "worker", "runner"), 0)

    def seen(record: Path) -> None:
        """What was done once must never be touched again."""
        stat = record.stat()
        first = first_done.setdefault(record, (stat.st_mtime_ns, stat.st_ino))
        assert first == (stat.st_mtime_ns, stat.st_ino), f"{record.parent.name} was done and was done again"

    def look() -> None:
        for run in runs:
            if run.is_done():
                seen(run.path / "status.json")
                metrics = json.loads((run.path / "metrics.json").read_text())
                if STRESS:
                    assert metrics["rows"][0]["n_examples"] == DEV_EXAMPLES and metrics["reload_difference"] == 0
                else:
                    assert metrics["rows"][0]["value"] == run.recipe.seed / 100
        for record in (tmp_path / "results" / "steps").glob("*/step.json"):
            if record.parent.suffix != ".partial":
                seen(record)

    def start() -> psutil.Popen:
        command = [sys.executable, str(tmp_path / "runner.py"), str(tmp_path), str(notebook)]
        with (tmp_path / "runner.log").open("a") as log:
            return psutil.Popen(command, stdout=log, stderr=log)

    runner, kind = start(), "kernel"
    while sum(killed.values()) < KILLS and not all(run.is_done() for run in runs):
        look()
        ahead = sum(killed.values()) >= KILLS * (sum(run.is_done() for run in runs) + 1) / (len(runs) - SPARED)
        process = None if ahead else _victim(runner, kind, rng)  # every run gets its share of the kills
        if process is None:  # not there yet, or the runner came to an end: some runs failed, as kernels were killed
            if runner.poll() is not None:
                runner = start()
            time.sleep(0.05)
            continue
        time.sleep(rng.uniform(0, rng.choice(PATIENCE)))
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
        runner.wait(timeout=1800 if STRESS else 300)
        if all(run.is_done() for run in runs):
            break
        runner = start()
    look()
    assert all(run.is_done() for run in runs)
    assert {run.path / "status.json" for run in runs} <= set(first_done)
    for run in runs:
        assert len(pd.read_parquet(run.path / "predictions.parquet")) == (DEV_EXAMPLES if STRESS else 500)
        assert not list(run.path.glob("*.partial")) and not (run.path / "claim.json").exists()
    steps = {step.address for recipe in recipes for step in chain(recipe)} if STRESS else set()
    assert {record.parent.name for record in first_done if record.name == "step.json"} == steps
    print(f"killed {killed} over {len(runs)} runs and {len(steps)} steps")
    assert sum(killed.values()) == KILLS or (killed["kernel"] and not STRESS)


def _victim(runner: psutil.Popen, kind: str, rng: random.Random) -> psutil.Process | None:
    """A random living process of that kind in the runner's family."""
    if runner.poll() is not None:
        return None
    if kind == "runner":
        return runner
    try:
        alike = [process for process in runner.children(recursive=True) if _kind(process) == kind]
    except psutil.NoSuchProcess:
        return None
    return rng.choice(alike) if alike else None


def _kind(process: psutil.Process) -> str:
    """What a process of the runner's family is; a kernel was forked from the server and has its command line."""
    words = " ".join(process.cmdline())
    if "kernel_server" in words:
        parent = process.parent()
        return "kernel" if parent is not None and "kernel_server" in " ".join(parent.cmdline()) else "server"
    if "kernel_process.py" in words:
        return "stand-in"
    return "kernel" if "ipykernel_launcher" in words else "worker" if "spawn_main" in words else "other"
