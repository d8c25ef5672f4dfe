"""Measure how the run store scales: plan, status and collect over many run folders, and a notebook's overhead per run.

    python benchmarks/store.py [--runs 10000] [--overhead 4]

Prints seconds, milliseconds per run and memory. The run folders are fabricated, with the files of a finished run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from xtc_study.analysis.collect import collect, states
from xtc_study.profiles import load_profile
from xtc_study.recipe import Recipe
from xtc_study.runs.cost import cost
from xtc_study.runs.executors import run_recipes
from xtc_study.runs.step_store import StepStore
from xtc_study.studies import PlannedRun, load_study, plan

METRICS = {
    "rows": [
        {"split": "dev", "metric": name, "value": 0.9, "best_value": 0.9, "teacher_value": 0.95, "n_examples": 600}
        for name in ("matthews", "accuracy")
    ],
    "size_bytes": 100_000,
    "size_bytes_paper": 50_000,
    "teacher_size_bytes": 900_000,
}
ENVIRONMENT = {"device": "cpu", "precision": "fp32", "packages": {"torch": "2.13.0", "transformers": "5.23.0"}}
STATUS = {"state": "done", "started": "2026-01-01T00:00:00+00:00", "duration_s": 12.5}

WORK = "import json, pathlib\npathlib.Path(results_dir, f'{seed}.json').write_text(json.dumps(seed))\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--overhead", type=int, default=4, help="runs of an empty notebook to time")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as workdir:
        scale(Path(workdir), chosen.runs)
        overhead(Path(workdir), chosen.overhead)


def scale(workdir: Path, count: int) -> None:
    study, profile = load_study("12_bits"), load_profile("smoke")
    a_seed = len(plan(study, profile, seeds=[0]))
    seeds = list(range(-(-count // a_seed)))
    tracemalloc.start()
    planned = timed(
        f"plan {len(seeds) * a_seed:,} runs", len(seeds) * a_seed, lambda: plan(study, profile, seeds=seeds)
    )
    print(f"  memory of the plan: {tracemalloc.get_traced_memory()[0] / 1e6:.1f} MB")
    tracemalloc.stop()
    timed("plan again, without measuring memory", len(planned), lambda: plan(study, profile, seeds=seeds))
    recipes = [run.recipe for run in planned]
    timed("cost of steps", len(planned), lambda: cost(recipes, StepStore(workdir / "steps")))
    timed("status, nothing run yet", len(planned), lambda: states(workdir / "runs", planned))
    fabricate(workdir / "runs", planned)
    timed("status, all done", len(planned), lambda: states(workdir / "runs", planned))
    frame = timed("collect", len(planned), lambda: collect(workdir / "runs", planned))
    print(f"  {len(frame):,} rows")
    program = [sys.executable, "-c", "from xtc_study.cli import main; main()", "--help"]
    subprocess.run(program, capture_output=True, check=True)
    timed("xtc-study --help", 1, lambda: subprocess.run(program, capture_output=True, check=True))


def fabricate(runs: Path, planned: list[PlannedRun]) -> None:
    for run in planned:
        folder = runs / run.run_id
        folder.mkdir(parents=True)
        files = {"params": {"recipe": {}}, "metrics": METRICS, "environment": ENVIRONMENT, "status": STATUS}
        for name, content in files.items():
            (folder / f"{name}.json").write_text(json.dumps(content))
        (folder / "predictions.parquet").touch()


def overhead(workdir: Path, count: int) -> None:
    """Time the same trivial work as a plain Python script and as a notebook run with its lease, kernel and records."""
    recipes = [Recipe.of(task="cola", seed=seed) for seed in range(count)]
    fields = "\n".join(f"{field} = None" for field in [*Recipe.model_fields, "results_dir", "claim"])
    cells = [new_code_cell(fields, metadata={"tags": ["parameters"]}), new_code_cell(WORK)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(new_notebook(cells=cells, metadata=kernel), workdir / "empty.ipynb")
    results = str(workdir)

    def scripts() -> None:
        for recipe in recipes:
            program = f"results_dir = {results!r}\nseed = {recipe.seed}\n{WORK}"
            subprocess.run([sys.executable, "-c", program], check=True)

    timed("plain Python scripts, one after the other", count, scripts)
    # The notebook writes no metrics.json, so each run ends as failed, after the same time.
    timed(
        "notebook runs, one worker", count, lambda: list(run_recipes(recipes, workdir, workdir / "empty.ipynb", {}, 1))
    )


def timed(name: str, runs: int, work: Callable[[], Any]) -> Any:
    started = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - started
    print(f"{name}: {seconds:.2f} s, {1000 * seconds / runs:.2f} ms per run", flush=True)
    return result


if __name__ == "__main__":
    main()
