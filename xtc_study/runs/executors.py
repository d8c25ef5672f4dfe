"""A study's runs, carried out by any concurrent.futures.Executor; spawned processes on this machine by default."""

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
"""Variables that say how many threads torch has; where both are set it heeds the first."""

POLL_SECONDS = 2.0
"""How often runs that another runner holds are checked again."""

DEATHS = 3
"""A run whose worker process dies this many times, alone, has failed; so have all runs when workers die this many
times in a row before they begin one."""

GUARD = 'a script must call this below a line `if __name__ == "__main__":`, for its workers read the script too'

Outcome = dict[str, Any]
"""run_id, state (done, failed, or elsewhere: another runner carried it out), seconds, error."""


def run_recipes(
    recipes: Sequence[Recipe],
    results: Path,
    notebook: Path,
    parameters: Mapping[str, Any],
    workers: int | None = None,
    executor: Executor | None = None,
    timeout: float | None = None,
) -> Iterator[Outcome]:
    """Carries out each distinct recipe once and yields each outcome as it comes.

    Several runners may do this at once on one folder: one of them holds the lease of each run, and a runner ends when
    every run is done, by any of them. A run whose runner dies is taken over by the others. A run that fails does not
    stop the others.

    Args:
        recipes: a recipe that is given twice is carried out once.
        results: the results folder of a profile.
        notebook: the template, run.ipynb.
        parameters: of the notebook, besides the recipe's fields.
        workers: processes on this machine; None: one a core. Each gets its share of the cores, or as many threads as
            the environment sets (see ``shares_of``). Ignored with an executor.
        executor: any PEP 3148 executor; it is not shut down.
        timeout: seconds a notebook cell may take; a run that takes longer has failed.

    Raises:
        RuntimeError: called in a worker that still reads its runner's script.
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
            # Variables of the environment reach a kernel by themselves.
            "threads": shares.threads if executor is None and not shares.set_by else None,
            "timeout": timeout,
        }
        for recipe in distinct
    }
    folders = {recipe.run_id: RunFolder(results / "runs", recipe) for recipe in distinct}

    while jobs:
        elsewhere = []
        for run_id, job in jobs.items():  # the runner watches heartbeats: a new worker sees each for the first time
            job["dead"] = lapsed(folders[run_id].path)

        # A run that another runner holds is skipped, and tried again in the next round.
        outcomes = _on_executor(jobs, executor) if executor is not None else _on_processes(jobs, workers)
        for outcome in outcomes:
            if outcome["state"] == "skipped" and not folders[outcome["run_id"]].is_done():
                elsewhere.append(outcome["run_id"])
                continue
            yield {**outcome, "state": "elsewhere"} if outcome["state"] == "skipped" else outcome

        jobs = {run_id: jobs[run_id] for run_id in elsewhere}
        waiting = set(jobs)
        while waiting and all(is_held(folders[run_id].path) for run_id in waiting):
            time.sleep(POLL_SECONDS)


class Shares(NamedTuple):
    """Workers of a runner, and what each may use."""

    workers: int
    threads: int
    """Of torch, in each worker's kernel."""
    set_by: str
    """The variable of the environment that sets ``threads``; empty: an equal share of the cores."""

    def text(self) -> str:
        """``2 workers, 1 thread each (OMP_NUM_THREADS)``."""
        workers = f"{self.workers} worker{'s' if self.workers > 1 else ''}"
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}{' each' if self.workers > 1 else ''}"
        return f"{workers}, {threads}" + (f" ({self.set_by})" if self.set_by else "")


def shares_of(workers: int | None, runs: int) -> Shares:
    """Workers for this number of runs and threads of each, set by the environment or an equal share of the cores.

    People set these variables to keep a shared machine usable. A value that is no number of threads counts as not set,
    as it does for OpenMP.
    """
    cores = available_cores()
    workers = min(workers or cores, max(runs, 1))
    for name in THREADS:
        first = os.environ.get(name, "").partition(",")[0].strip()  # 4,2: of nested regions too
        if first.isdecimal() and int(first) > 0:
            return Shares(workers, int(first), name)
    return Shares(workers, max(cores // workers, 1), "")


def available_cores() -> int:
    """Cores this process may use: what Slurm or taskset leave it, not what the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def dask_executor(address: str) -> Iterator[Executor]:
    """The workers of a Dask scheduler at ``address`` (tcp://host:port) as an executor; needs the extra ``cluster``.

    Raises:
        ValueError: Dask is not installed, or no scheduler answers.
    """
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise ValueError("--scheduler needs Dask; from the source: pip install -e '.[cluster]'") from None
    try:
        place = urlsplit(address if "://" in address else f"tcp://{address}")
        named = bool(place.hostname and place.port)
    except ValueError:  # a port that is none
        named = False
    if not named:
        raise ValueError(f"--scheduler {address}: expected the address of a Dask scheduler, say tcp://host:8786")
    try:
        if place.scheme in ("tcp", "tls"):  # a client that waits in vain takes twice as long, and complains at its end
            socket.create_connection((str(place.hostname), place.port), timeout=20).close()
        client = Client(address, timeout=20, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ValueError(f"--scheduler {address}: no Dask scheduler answers there ({error})") from None
    with client:
        # Not pure: a run that is asked for again is looked at again, not answered from Dask's memory.
        yield client.get_executor(pure=False)


def _on_executor(jobs: Mapping[str, Mapping[str, Any]], executor: Executor) -> Iterator[Outcome]:
    futures = {executor.submit(execute_run, job): run_id for run_id, job in jobs.items()}
    for future in as_completed(futures):
        yield _outcome(future, futures[future])


def _on_processes(jobs: Mapping[str, Mapping[str, Any]], workers: int) -> Iterator[Outcome]:
    """One spawned process a worker.

    When one is killed its pool breaks, and ends its neighbours too. The runs that were cut off are then tried one at a
    time, so that one which kills its worker is identified and the others are carried out.
    """
    left, fruitless = dict(jobs), 0
    while left and fruitless < DEATHS:
        before = len(left)
        yield from _in_one_pool(left, workers)

        cut_off = [run_id for run_id in left if _was_cut_off(jobs[run_id], run_id)]
        fruitless = fruitless + 1 if len(left) == before and not cut_off else 0
        for run_id in cut_off:
            alone = {run_id: left.pop(run_id)}
            for _ in range(DEATHS):
                yield from _in_one_pool(alone, 1)
            if alone:
                yield _failure(run_id, "WorkerDied", f"its worker process died {DEATHS} times, alone; out of memory?")
    for run_id in left:
        yield _failure(run_id, "WorkerDied", f"worker processes died {DEATHS} times before they began a run; {GUARD}")


def _in_one_pool(left: dict[str, Mapping[str, Any]], workers: int) -> Iterator[Outcome]:
    """Carries out the runs in ``left`` until done or until a worker dies; runs that ended are removed from it."""
    if not left:
        return

    # Spawned, not forked: a fork of a process that has started torch's threads may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_exit_with_parent) as pool:
        futures: dict[Future[Outcome], str] = {}
        try:
            with _ignore_sigint():
                for run_id, job in left.items():
                    try:
                        futures[pool.submit(execute_run, job)] = run_id
                    except BrokenProcessPool:  # a worker died while we were still handing out work
                        break

            for future in as_completed(futures):
                run_id = futures[future]
                if not isinstance(future.exception(), BrokenProcessPool):
                    del left[run_id]
                    yield _outcome(future, run_id)
        except GeneratorExit:  # the caller wants no more: begun runs end, others do not begin
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        except BaseException:  # Ctrl-C: all ends. Killed, for on SIGTERM a worker would record a failed run
            workers_now = list(pool._processes.values())
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in workers_now:
                worker.kill()
            raise


def _was_cut_off(job: Mapping[str, Any], run_id: str) -> bool:
    """Whether a process that is gone worked on this run: its claim.json is there and no process holds the lock."""
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
    """Processes started in the block ignore Ctrl-C until ``_exit_with_parent`` runs. Main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _exit_with_parent() -> None:
    """Ends this worker, and so its kernel, when its runner is gone, however it ended, and not before.

    A terminal sends Ctrl-C to a whole process group. A worker leaves that group: ignoring the signal is not enough,
    for nbclient handles it again and would record a failed run.
    """
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent watch").start()
