"""Carries out runs in spawned processes on this machine, each with its card, and replaces those that die."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xtc_study.runs.cards import VARIABLE
from xtc_study.runs.execute import execute_run
from xtc_study.runs.lease import is_held
from xtc_study.runs.outcomes import Outcome, failure, outcome_of

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue

DEATHS = 3
"""A run fails when its worker process dies this many times while it runs alone; all runs fail when workers die this
many times in a row before they begin one."""

GUARD = (
    'put the call below a line `if __name__ == "__main__":` in your script, for worker processes read the script too'
)


def on_processes(jobs: Mapping[str, Mapping[str, Any]], workers: int, cards: Sequence[str] = ()) -> Iterator[Outcome]:
    """Carry out jobs in spawned processes, one per worker.

    If a worker is killed, its pool breaks and ends the other workers too. The interrupted runs are then tried one at a
    time, which identifies a run that kills its worker and lets the others finish.

    Args:
        jobs: for ``execute_run``, by run id.
        workers: number of processes.
        cards: that they get in turn, each a value of CUDA_VISIBLE_DEVICES; fewer than two change no environment.
    """
    left, fruitless = dict(jobs), 0
    while left and fruitless < DEATHS:
        before = len(left)
        yield from _in_one_pool(left, workers, cards)

        # Runs whose worker died are tried again alone.
        interrupted = [run_id for run_id in left if _was_interrupted(jobs[run_id], run_id)]
        fruitless = fruitless + 1 if len(left) == before and not interrupted else 0
        for run_id in interrupted:
            alone = {run_id: left.pop(run_id)}
            for _ in range(DEATHS):
                yield from _in_one_pool(alone, 1, cards)
            if alone:
                yield failure(
                    run_id, "WorkerDied", f"its worker process died {DEATHS} times while it ran alone; out of memory?"
                )
    for run_id in left:
        yield failure(run_id, "WorkerDied", f"worker processes died {DEATHS} times before they began a run; {GUARD}")


def _in_one_pool(left: dict[str, Mapping[str, Any]], workers: int, cards: Sequence[str]) -> Iterator[Outcome]:
    """Carry out the runs in ``left`` until done or until a worker dies; runs that ended are removed from it."""
    if not left:
        return

    # Spawned, not forked: a forked copy of a process with torch's threads may hang.
    context = multiprocessing.get_context("spawn")
    in_turn: SimpleQueue[str] = context.SimpleQueue()
    for worker in range(workers if len(cards) > 1 else 0):
        in_turn.put(cards[worker % len(cards)])
    begin = (in_turn, len(cards) > 1)
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker, initargs=begin) as pool:
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
                    yield outcome_of(future, run_id)
        except GeneratorExit:  # the caller stops: runs in progress finish, others do not start
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        except BaseException:  # Ctrl-C: kill, since on SIGTERM a worker would record a failed run
            processes = list(pool._processes.values())
            pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.kill()
            raise


def _was_interrupted(job: Mapping[str, Any], run_id: str) -> bool:
    """Return whether a dead process worked on this run: claim.json exists, and no process holds the lock."""
    folder = Path(job["results"]) / "runs" / run_id
    return (folder / "claim.json").is_file() and not is_held(folder)


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


def _begin_worker(cards: SimpleQueue[str], choose: bool) -> None:
    """Take the next card, if there is a choice, for this worker's kernels and all that they start."""
    _exit_with_parent()
    if choose:
        os.environ[VARIABLE] = cards.get()


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
