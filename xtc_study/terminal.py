"""What a terminal shows while studies run: a bar for all runs, one for each run in progress, a line an outcome."""

from __future__ import annotations

import multiprocessing
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    import pandas as pd

    from xtc_study.ablation import Ablation
    from xtc_study.runs.account import Account
    from xtc_study.runs.step_times import StepTimes


def carry_out(
    ablations: Sequence[Ablation],
    out: Console,
    workers: int | None,
    executor: Executor | None,
    timeout: float | None,
    keep_going: bool,
    chosen: Mapping[str, Any],
) -> int:
    """Carries out the studies' runs and returns the number of those that failed."""
    from xtc_study.together import run_together

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    runs = {run.run_id: one.runs_folder / run.run_id for one in ablations for run in one.to_do(**chosen)}
    failed = 0
    with Progress(*columns, console=out) as progress:
        name = ablations[0].study.name if len(ablations) == 1 else f"{len(ablations)} studies"
        bar = progress.add_task(name, total=len(runs))
        with _bars_of_runs(progress, list(runs.values())):
            for outcome in run_together(ablations, workers, executor, timeout=timeout, **chosen):
                progress.advance(bar)
                text = f"{outcome['state']}: {outcome['run_id']}"
                if outcome["state"] == "failed":
                    failed += 1
                    text += f": {outcome['error']['type']}: {outcome['error']['message']}"
                elif outcome["state"] == "done":
                    text += f" ({outcome['seconds']:.0f} s)"
                progress.console.print(text, markup=False)
                if failed and not keep_going:
                    break
    return failed


def states_now(ablation: Ablation) -> pd.DataFrame:
    """``Ablation.states``, with ``interrupted`` as a state of its own."""
    from xtc_study.analysis.collect import INTERRUPTED

    states = ablation.states()
    states.loc[(states["state"] == "missing") & (states["error"] == INTERRUPTED), "state"] = INTERRUPTED
    return states


def kill_workers() -> None:
    """Ends every process this one started through multiprocessing, should Ctrl-C have come between two outcomes."""
    for process in multiprocessing.active_children():
        process.kill()


def say_warnings_plainly(err: Console) -> None:
    """From now on a warning for users is one line of text, without the place in the code that gave it."""
    before = warnings.showwarning

    def show(message: Any, category: Any, *place: Any, **more: Any) -> None:
        if category is UserWarning:
            err.print(f"warning: {message}", style="yellow", markup=False)
        else:
            before(message, category, *place, **more)

    warnings.showwarning = show


def say_needs(ablations: Sequence[Ablation], runs_to_do: int, out: Console) -> None:
    """What studies need that are about to run: training time, processes and their threads."""
    from xtc_study.runs.executors import shares_of
    from xtc_study.together import account_of

    out.print(cost_text(account_of(ablations), ablations[0].step_times()))
    out.print(shares_of(None, runs_to_do).text(), markup=False)


def cost_text(costs: Account, times: StepTimes | None) -> str:
    """What studies cost, in steps and, where something is known, in hours of the device that was measured."""
    text = f"{costs.steps_shared} steps in place of {costs.steps_alone}, {costs.steps_to_do} to train"
    if costs.steps_to_do and costs.seconds_to_do is not None:
        seconds = costs.seconds_to_do
        text += f", about {seconds:,.0f} s" if seconds < 3600 else f", about {seconds / 3600:,.1f} hours"
        text += (
            f" of {times.device} (from measured steps)"
            if times and costs.measured
            else " of training (from steps trained here)"
        )
    elif costs.steps_to_do:
        text += ", for how long is unknown (plan --measure estimates it)"
    if times is not None and times.peak_bytes is not None:
        longest = max(point.length for point in times.points)
        text += f"; a 1-bit step of {times.batch_size} x {longest} word pieces holds {times.peak_bytes / 1e9:.1f} GB"
    if costs.share is not None:
        text += f"; sharing brings the cost to {costs.share:.0%} of separate pipelines"
    return text


@contextmanager
def _bars_of_runs(progress: Progress, folders: list[Path]) -> Iterator[None]:
    """A bar for each run in progress inside the block, by the cells of its notebook; on a terminal only."""
    from xtc_study.runs.progress import in_progress

    if not progress.console.is_terminal:
        yield
        return
    stop = Event()
    bars: dict[str, TaskID] = {}

    def watch() -> None:
        while not stop.wait(1.0):
            now = {run.run_id: run for run in in_progress(folders)}
            for run_id in [run_id for run_id in bars if run_id not in now]:
                progress.remove_task(bars.pop(run_id))
            for run_id, run in now.items():
                if run_id not in bars:
                    bars[run_id] = progress.add_task(f"  {escape(run_id)}", total=run.cells)
                progress.update(bars[run_id], completed=run.done)

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()
        for task in bars.values():
            progress.remove_task(task)
