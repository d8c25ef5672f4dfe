"""Carries out runs with any concurrent.futures.Executor; by default with spawned processes on this machine."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from pathlib import Path
from typing import Any

from xtc_study.recipe import Recipe
from xtc_study.runs.execute import execute_run
from xtc_study.runs.lease import is_held, lapsed
from xtc_study.runs.local_pool import GUARD, on_processes
from xtc_study.runs.outcomes import Outcome, outcome_of
from xtc_study.runs.shares import shares_of
from xtc_study.runs.store import RunFolder

POLL_SECONDS = 2.0
"""Time between two checks of runs that another runner holds."""


def run_recipes(
    recipes: Sequence[Recipe],
    results: Path,
    notebook: Path,
    parameters: Mapping[str, Any],
    workers: int | None = None,
    executor: Executor | None = None,
    timeout: float | None = None,
    redo: bool = False,
) -> Iterator[Outcome]:
    """Carry out each distinct recipe once and yield each outcome as it comes.

    Several runners may share one folder: one of them holds the lease of each run, and each runner returns when every
    run is done by any of them. If a runner dies, the others take over its runs. A failed run does not stop the others.

    Args:
        recipes: repeated recipes are carried out once.
        results: the results folder of a profile.
        notebook: the template, run.ipynb.
        parameters: of the notebook, besides the recipe's fields.
        workers: processes on this machine; None: one per GPU, or one per core where runs use none. Each uses its
            share of the cores, or as many threads as the environment sets, and its card (see ``shares_of``). Ignored
            with an executor.
        executor: any PEP 3148 executor; it is not shut down. Where its workers see several cards and the environment
            chooses none, each of their threads takes one (see ``card_slots``).
        timeout: seconds a notebook cell may take; a run with a slower cell fails.
        redo: whether to rerun done runs too; each stays done until its turn comes.

    Raises:
        RuntimeError: called in a worker process while it imports the runner's script.
    """
    if executor is None and getattr(multiprocessing.current_process(), "_inheriting", False):
        raise RuntimeError(f"runs cannot be carried out here: {GUARD}")

    distinct = list({recipe.run_id: recipe for recipe in recipes}.values())
    device = str(parameters.get("device", "auto"))
    shares = shares_of(workers, len(distinct), device if executor is None else "cpu")
    jobs: dict[str, dict[str, Any]] = {
        recipe.run_id: {
            "recipe": recipe.model_dump(mode="json"),
            "results": str(results),
            "notebook": str(notebook),
            "parameters": dict(parameters),
            # Environment variables reach the kernel without our help.
            "threads": shares.threads if executor is None and not shares.set_by else None,
            "timeout": timeout,
            "redo": redo,
            "choose_card": executor is not None,
        }
        for recipe in distinct
    }
    folders = {recipe.run_id: RunFolder(results / "runs", recipe) for recipe in distinct}

    while jobs:
        # The runner watches heartbeats, since a new worker sees each of them for the first time.
        elsewhere = []
        for run_id, job in jobs.items():
            job["dead"] = lapsed(folders[run_id].path)

        # A run that another runner holds is skipped and tried again in the next round.
        outcomes = (
            _on_executor(jobs, executor) if executor is not None else on_processes(jobs, shares.workers, shares.cards)
        )
        for outcome in outcomes:
            if outcome["state"] == "skipped" and not folders[outcome["run_id"]].is_done():
                elsewhere.append(outcome["run_id"])
                continue
            yield {**outcome, "state": "elsewhere"} if outcome["state"] == "skipped" else outcome

        jobs = {run_id: {**jobs[run_id], "redo": False} for run_id in elsewhere}
        waiting = set(jobs)
        while waiting and all(is_held(folders[run_id].path) for run_id in waiting):
            time.sleep(POLL_SECONDS)


def _on_executor(jobs: Mapping[str, Mapping[str, Any]], executor: Executor) -> Iterator[Outcome]:
    futures = {executor.submit(execute_run, job): run_id for run_id, job in jobs.items()}
    for future in as_completed(futures):
        yield outcome_of(future, futures[future])
