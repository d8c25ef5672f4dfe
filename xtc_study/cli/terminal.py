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

from xtc_study.cli.run_log import EveryMinute, RunLog

if TYPE_CHECKING:
    from xtc_study.places import Compute
    from xtc_study.runs.carry_out import RunFilter
    from xtc_study.runs.cost import Cost
    from xtc_study.runs.outcomes import Outcome
    from xtc_study.runs.step_times import StepTimes
    from xtc_study.studies import PlannedRun
    from xtc_study.study import Study


def carry_out(
    studies: Sequence[Study],
    out: Console,
    workers: int | None,
    executor: Executor | None,
    timeout: float | None,
    keep_going: bool,
    which: RunFilter,
) -> int:
    """Carry out the studies' runs and return the number of those that failed.

    If ``out`` is no terminal it gets lines only: what is to do, each outcome, and each minute the runs in progress.
    """
    from xtc_study.runs.shares import shares_of
    from xtc_study.study_runs import rounds
    from xtc_study.suite import cost_together, outcomes_of

    name = studies[0].name if len(studies) == 1 else f"{len(studies)} studies"
    failed = 0
    for turn, runs in enumerate(rounds([one.runs for one in studies], which)):
        cost = cost_text(cost_together(studies), studies[0].step_times())
        out.print(f"{name}: {to_do_text(list(runs.values()), turn)}; {cost}", markup=False)
        shares = shares_of(workers, len(runs), studies[0].compute.device)
        if executor is None and shares.cards:
            out.print(f"{shares.text()}; --workers N sets how many (docs/gpu.md)", markup=False)
        outcomes = outcomes_of(studies, runs, workers, executor, which, timeout)
        folders = [studies[0].places.runs / run_id for run_id in runs]
        failed += _show(outcomes, folders, name, out, keep_going)
        if failed and not keep_going:
            break
    waiting = {run.run_id for one in studies for run in one.planned if run.waits}
    if waiting and which.limit is None:
        many = f"{len(waiting)} run" + (" waits" if len(waiting) == 1 else "s wait")
        why = "are not done (rerun the same command to retry these) or diverged at every value (try lower ones)"
        out.print(f"{many} for trials that {why}", markup=False)
    return failed


def to_do_text(runs: Sequence[PlannedRun], turn: int = 0) -> str:
    """Return how many runs and trials a round carries out: ``12 trials, then 8 runs``."""
    trials = sum(run.recipe.holdout is not None for run in runs)
    others = len(runs) - trials
    text = f"{others} run" + ("" if others == 1 else "s")
    if trials:
        text = f"{trials} trial" + ("" if trials == 1 else "s") + (f" and {text}" if others else "")
    return f"{text} to do" + (" at the chosen values" if turn else "")


def _show(outcomes: Iterator[Outcome], folders: Sequence[Path], name: str, out: Console, keep_going: bool) -> int:
    """Carry out runs while showing them, and return the number of those that failed."""
    log, failed = RunLog(folders), 0
    name_column, left_column = TextColumn("{task.description}"), TextColumn("{task.fields[left]}")
    columns = (name_column, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), left_column)
    with Progress(*columns, console=out, disable=not out.is_terminal) as progress:
        bar = progress.add_task(name, total=len(folders), left="")
        lines = EveryMinute(log, lambda text: progress.console.print(text, markup=False))
        with _bars_of_runs(progress, list(folders)) if out.is_terminal else lines:
            for outcome in outcomes:
                progress.console.print(log.outcome(outcome), markup=False)
                progress.update(bar, advance=1, left=log.left())
                failed += outcome["state"] == "failed"
                if failed and not keep_going:
                    break
    return failed


def kill_workers() -> None:
    """End every process this one started through multiprocessing, in case Ctrl-C came between two outcomes."""
    for process in multiprocessing.active_children():
        process.kill()


def say_warnings_plainly(err: Console) -> None:
    """Print warnings for users as one line of text from now on, without the place in the code that gave them."""
    before = warnings.showwarning

    def show(message: Any, category: Any, *place: Any, **more: Any) -> None:
        if category is UserWarning:
            err.print(f"warning: {message}", style="yellow", markup=False)
        else:
            before(message, category, *place, **more)

    warnings.showwarning = show


def say_needs(studies: Sequence[Study], states: Mapping[str, str], out: Console) -> None:
    """Print what the studies' runs need: training time, processes, their threads and GPUs, GPU memory, disk.

    Args:
        states: of each planned run, by its id.
    """
    from xtc_study.runs.card_memory import memory_text
    from xtc_study.runs.disk_space import disk_needs
    from xtc_study.runs.shares import shares_of
    from xtc_study.runs.step_times import read_step_times
    from xtc_study.suite import cost_together
    from xtc_study.tasks.augmentation.synonyms import table_hash

    first = studies[0]
    out.print(cost_text(cost_together(studies), first.step_times()))
    done = {run_id for run_id, state in states.items() if state == "done"}
    out.print(shares_of(None, len(states) - len(done), first.compute.device).text(), markup=False)
    recipes = list({run.run_id: run.recipe for one in studies for run in [*one.trials, *one.planned]}.values())
    measured = [read_step_times(first.places.results, model) for model in sorted({one.model for one in recipes})]
    if memory := memory_text([times for times in measured if times is not None]):
        out.print(memory, markup=False)
    needs = disk_needs(recipes, done, first.places.results, first.places.models_dir, table_hash(first.places.synonyms))
    out.print(needs.text(), markup=False)


def clear_steps(studies: Sequence[Study], out: Console, unused: bool, finished: bool, dry_run: bool) -> None:
    """Remove trained steps that no run needs any more, if asked to; otherwise print what could be removed."""
    from xtc_study.runs.disk_space import in_bytes
    from xtc_study.runs.unneeded_steps import bytes_of, remove_steps, surplus_steps
    from xtc_study.tasks.augmentation.synonyms import table_hash

    first = studies[0]
    planned = [run.recipe for one in studies for run in [*one.trials, *one.planned]]
    surplus = surplus_steps(first.places.results, planned, table_hash(first.places.synonyms))
    chosen = [*(surplus.unused if unused or finished else []), *(surplus.finished if finished else [])]
    sizes = {folder: bytes_of([folder]) for folder in chosen}
    for folder in chosen if dry_run else remove_steps(chosen):
        out.print(f"{'would remove' if dry_run else 'removed'} {folder} ({in_bytes(sizes[folder])})", markup=False)
    for folders, option, what in (
        (surplus.unused, "--steps", "that no run uses"),
        (surplus.finished, "--finished-steps", "that only done runs use (their files and scores stay)"),
    ):
        left = [folder for folder in folders if folder not in chosen]
        if left:
            text = f"{len(left)} trained steps {what}: {in_bytes(bytes_of(left))}; clean {option} removes them"
            out.print(text, markup=False)


def measure_models(studies: Sequence[Study], compute: Compute, out: Console) -> None:
    """Measure training steps of each model the studies name and write the result beside their runs."""
    from xtc_study.runs.step_times import write_step_times
    from xtc_study.training.measure_steps import measure_step_times

    for model in dict.fromkeys(run.recipe.model for study in studies for run in study.planned):
        out.print(f"measuring training steps of {model}", markup=False)
        times = measure_step_times(model, studies[0].places.models_dir, compute.device, compute.precision)
        out.print(f"written to {write_step_times(studies[0].places.results, times)}", markup=False)


def cost_text(costs: Cost, times: StepTimes | None) -> str:
    """Return what studies cost: steps and, where known, hours of the device that was measured."""
    text = f"{costs.steps_shared} steps instead of {costs.steps_alone}, {costs.steps_to_do} to train"
    if costs.steps_to_do and costs.seconds_to_do is not None:
        seconds = costs.seconds_to_do
        text += f", about {seconds:,.0f} s" if seconds < 3600 else f", about {seconds / 3600:,.1f} hours"
        text += (
            f" of {times.device} (from measured steps)"
            if times and costs.measured
            else " of training (from steps trained here)"
        )
    elif costs.steps_to_do:
        text += "; duration unknown (estimate it with plan --measure)"
    if times is not None and times.peak_bytes is not None:
        longest = max(point.length for point in times.points)
        text += f"; a 1-bit step of {times.batch_size} x {longest} tokens holds {times.peak_bytes / 1e9:.1f} GB"
    if costs.share is not None:
        text += f"; sharing reduces the cost to {costs.share:.0%} of separate pipelines"
    return text


@contextmanager
def _bars_of_runs(progress: Progress, folders: list[Path]) -> Iterator[None]:
    """Show a bar for each run in progress inside the block, by the cells of its notebook."""
    from xtc_study.runs.progress import in_progress

    stop = Event()
    bars: dict[str, TaskID] = {}

    def watch() -> None:
        while not stop.wait(1.0):
            now = {run.run_id: run for run in in_progress(folders)}
            for run_id in [run_id for run_id in bars if run_id not in now]:
                progress.remove_task(bars.pop(run_id))
            for run_id, run in now.items():
                if run_id not in bars:
                    bars[run_id] = progress.add_task(f"  {escape(run_id)}", total=run.cells, left="")
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
