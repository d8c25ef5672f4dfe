"""A study's runs, carried out by any concurrent.futures.Executor; spawned processes on this machine by default."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from xtc_study.recipe import Recipe
from xtc_study.runs.execute import execute_run


def run_recipes(
    recipes: Sequence[Recipe],
    results: Path,
    notebook: Path,
    parameters: Mapping[str, Any],
    workers: int | None = None,
    executor: Executor | None = None,
) -> Iterator[dict[str, Any]]:
    """Carries out each distinct recipe once and yields each outcome as it comes (see ``execute_run``).

    Args:
        workers: processes on this machine; None: one a core. Each gets its share of the cores. Ignored with an
        executor.
        executor: any PEP 3148 executor; it is not shut down.
    """
    cores = os.cpu_count() or 1
    workers = min(workers or cores, max(len(recipes), 1))
    jobs = [
        {
            "recipe": recipe.model_dump(mode="json"),
            "results": str(results),
            "notebook": str(notebook),
            "parameters": dict(parameters),
            "threads": max(cores // workers, 1) if executor is None else None,
        }
        for recipe in {recipe.run_id: recipe for recipe in recipes}.values()
    ]
    if executor is not None:
        yield from (future.result() for future in as_completed([executor.submit(execute_run, job) for job in jobs]))
        return
    # Spawned, not forked: a fork of a process that has started torch's threads may hang.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from (future.result() for future in as_completed([pool.submit(execute_run, job) for job in jobs]))
