"""Carries out runs with any concurrent.futures.Executor; by default with spawned processes on this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from xtc_study.recipe import Recipe
from xtc_study.runs.execute import execute_run
from xtc_study.runs.lease import is_held, lapsed
from xtc_study.runs.store import RunFolder

THREADS = ("MKL_NUM_THREADS", "OMP_NUM_THREADS")
"""Environment variables for torch's number of threads; the first one that is set wins."""

POLL_SECONDS = 2.0
"""Time between two checks of runs that another runner holds."""

DEATHS = 3
"""A run fails when its worker process dies this many times while it runs alone; all runs fail when workers die this
many times in a row before they begin one."""

GUARD = (
    'put the call below a line `if __name__ == "__main__":` in your script, for worker processes read the script too'
)

Outcome = dict[str, Any]
"""Keys: run_id, state (done, failed, or elsewhere: another runner carried it out), seconds, error."""


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
        workers: processes on this machine; None: one per core. Each uses its share of the cores, or as many threads
            as the environment sets (see ``shares_of``). Ignored with an executor.
        executor: any PEP 3148 executor; it is not shut down.
        timeout: seconds a notebook cell may take; a run with a slower cell fails.
        redo: whether to rerun done runs too; each stays done until its turn comes.

    Raises:
        RuntimeError: called in a worker process while it imports the runner's script.
    """
    if executor is None and getattr(multiprocessing.current_process(), "_inheriting", False):
        raise RuntimeError(f"runs cannot be carried out here: {GUARD}")

    distinct = list({recipe.run_id: recipe for recipe in recipes}.values())
    shares = shares_of(workers, len(distinct))
    workers = shares.workers
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
        outcomes = _on_executor(jobs, executor) if executor is not None else _on_processes(jobs, workers)
        for outcome in outcomes:
            if outcome["state"] == "skipped" and not folders[outcome["run_id"]].is_done():
                elsewhere.append(outcome["run_id"])
                continue
            yield {**outcome, "state": "elsewhere"} if outcome["state"] == "skipped" else outcome

        jobs = {run_id: {**jobs[run_id], "redo": False} for run_id in elsewhere}
        waiting = set(jobs)
        while waiting and all(is_held(folders[run_id].path) for run_id in waiting):
            time.sleep(POLL_SECONDS)


class Shares(NamedTuple):
    """How many workers a runner has, and how many threads each may use."""

    workers: int
    threads: int
    """Threads of torch in each worker's kernel."""
    set_by: str
    """The environment variable that sets ``threads``; empty: an equal share of the cores."""

    def text(self) -> str:
        """Describe the shares in one line: ``2 workers, 1 thread each (OMP_NUM_THREADS)``."""
        workers = f"{self.workers} worker{'s' if self.workers > 1 else ''}"
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}{' each' if self.workers > 1 else ''}"
        return f"{workers}, {threads}" + (f" ({self.set_by})" if self.set_by else "")


def shares_of(workers: int | None, runs: int) -> Shares:
    """Return the workers for a number of runs, and the threads of each.

    The environment sets the threads, since users limit them to keep a shared machine usable; otherwise each worker has
    an equal share of the cores. A value that is not a number of threads counts as not set, as it does for OpenMP.

    Args:
        workers: at most; None: one per core.
        runs: to carry out.
    """
    cores = available_cores()
    workers = min(workers or cores, max(runs, 1))
    for name in THREADS:
        first = os.environ.get(name, "").partition(",")[0].strip()  # 4,2 also sets nested regions
        if first.isdecimal() and int(first) > 0:
            return Shares(workers, int(first), name)
    return Shares(workers, max(cores // workers, 1), "")


def available_cores() -> int:
    """Return the number of cores that this process may use, which Slurm or taskset may limit."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def dask_executor(address: str) -> Iterator[Executor]:
    """Give the workers of a Dask scheduler as an executor. Needs the extra ``cluster``.

    Args:
        address: of the scheduler, tcp://host:port.

    Raises:
        ValueError: Dask is not installed, or no scheduler answers.
    """
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise ValueError(
            "--scheduler needs Dask; install it from the source folder: pip install -e '.[cluster]'"
        ) from None
    try:
        url = urlsplit(address if "://" in address else f"tcp://{address}")
        is_address = bool(url.hostname and url.port)
    except ValueError:  # the port is not a number
        is_address = False
    if not is_address:
        raise ValueError(f"--scheduler {address}: expected the address of a Dask scheduler such as tcp://host:8786")
    try:
        # Dask's client would wait twice as long in vain, and print an error of its own.
        if url.scheme in ("tcp", "tls"):
            socket.create_connection((str(url.hostname), url.port), timeout=20).close()
        client = Client(address, timeout=20, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ValueError(f"--scheduler {address}: no Dask scheduler answers there ({error})") from None
    with client:
        # Not pure: Dask must call the function again for the same run, not return its cached outcome.
        yield client.get_executor(pure=False)


def _on_executor(jobs: Mapping[str, Mapping[str, Any]], executor: Executor) -> Iterator[Outcome]:
    futures = {executor.submit(execute_run, job): run_id for run_id, job in jobs.items()}
    for future in as_completed(futures):
        yield _outcome(future, futures[future])


def _on_processes(jobs: Mapping[str, Mapping[str, Any]], workers: int) -> Iterator[Outcome]:
    """Carry out jobs in spawned processes, one per worker.

    If a worker is killed, its pool breaks and ends the other workers too. The interrupted runs are then tried one at a
    time, which identifies a run that kills its worker and lets the others finish.
    """
    left, fruitless = dict(jobs), 0
    while left and fruitless < DEATHS:
        before = len(left)
        yield from _in_one_pool(left, workers)

        # Runs whose worker died are tried again alone.
        interrupted = [run_id for run_id in left if _was_interrupted(jobs[run_id], run_id)]
        fruitless = fruitless + 1 if len(left) == before and not interrupted else 0
        for run_id in interrupted:
            alone = {run_id: left.pop(run_id)}
            for _ in range(DEATHS):
                yield from _in_one_pool(alone, 1)
            if alone:
                yield _failure(
                    run_id, "WorkerDied", f"its worker process died {DEATHS} times while it ran alone; out of memory?"
                )
    for run_id in left:
        yield _failure(run_id, "WorkerDied", f"worker processes died {DEATHS} times before they began a run; {GUARD}")


def _in_one_pool(left: dict[str, Mapping[str, Any]], workers: int) -> Iterator[Outcome]:
    """Carry out the runs in ``left`` until done or until a worker dies; runs that ended are removed from it."""
    if not left:
        return

    # Spawned, not forked: a forked copy of a process with torch's threads may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_exit_with_parent) as pool:
        futures: dict[Future[Outcome], str] = {}
        try:
            with _ignore_sigint():
                for run_id, job in left.items():
                    try:
                        futures[pool.submit(execute_run, job)] = run_id
                    except BrokenProcessPool:  # a worker died before all jobs were submitted
                        break

            for future in as_completed(futures):
                run_id = futures[future]
                if not isinstance(future.exception(), BrokenProcessPool):
                    del left[run_id]
                    yield _outcome(future, run_id)
        except GeneratorExit:  # the caller stops: runs in progress finish, others do not start
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        except BaseException:  # Ctrl-C: kill, since on SIGTERM a worker would record a failed run
            workers_now = list(pool._processes.values())
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in workers_now:
                worker.kill()
            raise


def _was_interrupted(job: Mapping[str, Any], run_id: str) -> bool:
    """Return whether a dead process worked on this run: claim.json exists, and no process holds the lock."""
    folder = Path(job["results"]) / "runs" / run_id
    return (folder / "claim.json").is_file() and not is_held(folder)


def _outcome(future: Future[Outcome], run_id: str) -> Outcome:
    error = future.exception()
    return _failure(run_id, type(error).__name__, str(error)) if error is not None else future.result()


def _failure(run_id: str, kind: str, message: str) -> Outcome:
    return {
        "run_id": run_id,
        "state": "failed",
        "seconds": 0.0,
        "error": {"type": kind, "message": message, "cell": None},
    }


@contextmanager
def _ignore_sigint() -> Iterator[None]:
    """Make processes started in the block ignore Ctrl-C until ``_exit_with_parent`` runs. Main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _exit_with_parent() -> None:
    """End this worker, and so its kernel, when its runner has ended for any reason, and not before.

    A terminal sends Ctrl-C to the whole process group. The worker leaves that group, since ignoring the signal is not
    enough: nbclient installs its own handler and would record a failed run.
    """
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent watch").start()
