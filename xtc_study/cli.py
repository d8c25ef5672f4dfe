"""The command line: xtc-study plan | run | status | collect | report | clean. Starts without importing torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from xtc_study.ablation import Ablation

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A study of the extreme compression of pre-trained transformers, in notebooks.",
)
out, err = Console(soft_wrap=True), Console(stderr=True, soft_wrap=True)

Studies = Annotated[list[str], typer.Argument(help="Names of studies, or 'all'.")]
ProfileName = Annotated[str, typer.Option("--profile", help="The scale: smoke, mini or paper.")]
Tasks = Annotated[
    list[str] | None, typer.Option("--task", help="In place of the profile's tasks; repeat for several.")
]
Seeds = Annotated[
    list[int] | None, typer.Option("--seed", help="In place of the profile's seeds; repeat for several.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="A recipe field for every arm; repeat for several."),
]
Model = Annotated[str | None, typer.Option("--model", help="The encoder: a hub name or a folder.")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="A folder in the GLUE download layout.")]
ModelsDir = Annotated[Path | None, typer.Option("--models-dir", help="A folder that holds models by name.")]
Results = Annotated[Path | None, typer.Option("--results", help="In place of results/<profile>.")]


@app.command("plan")
def show_plan(
    studies: Studies,
    profile: ProfileName = "smoke",
    task: Tasks = None,
    seed: Seeds = None,
    settings: Settings = None,
    model: Model = None,
    results: Results = None,
) -> None:
    """What would run, and what is there already."""
    for ablation in _ablations(studies, profile, task, seed, settings, model, results):
        states = ablation.states()
        counts = states.groupby(["task", "arm"], sort=False)["state"].value_counts().unstack(fill_value=0)
        table = Table("task", "arm", *counts.columns, title=f"{ablation.study.name}: {ablation.study.question}")
        for row in counts.reset_index().itertuples(index=False, name=None):
            table.add_row(*(str(value) for value in row))
        out.print(table)
        done = int((states["state"] == "done").sum())
        out.print(f"{len(states)} runs planned, {done} done, {len(states) - done} to do")
        out.print(_cost(ablation))


@app.command("status")
def show_status(
    studies: Studies,
    profile: ProfileName = "smoke",
    task: Tasks = None,
    seed: Seeds = None,
    settings: Settings = None,
    model: Model = None,
    results: Results = None,
) -> None:
    """Where the runs stand, and why any failed. Exits with 1 if one did."""
    failed = 0
    for ablation in _ablations(studies, profile, task, seed, settings, model, results):
        states = ablation.states()
        counts = states["state"].value_counts()
        out.print(f"{ablation.study.name}: " + ", ".join(f"{count} {state}" for state, count in counts.items()))
        for run in states[states["state"].isin(["failed", "corrupt"])].itertuples():
            failed += 1
            out.print(f"  {run.state}: {run.run_id}: {run.error}", markup=False)
    if failed:
        raise typer.Exit(1)


@app.command("clean")
def clean_up(
    studies: Studies,
    profile: ProfileName = "smoke",
    task: Tasks = None,
    seed: Seeds = None,
    settings: Settings = None,
    model: Model = None,
    results: Results = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
) -> None:
    """Remove the folders of failed runs, and what killed trainings left. Done runs and trained steps stay."""
    from xtc_study.runs.clean import leftovers, remove

    for ablation in _ablations(studies, profile, task, seed, settings, model, results):
        states = ablation.states()
        bad = states[states["state"].isin(["failed", "corrupt"])]["run_id"].unique()
        found = leftovers(ablation.results, [str(run_id) for run_id in bad])
        for path in found:
            out.print(f"{'would remove' if dry_run else 'removed'} {path}", markup=False)
        if not dry_run:
            remove(found)


@app.command("run")
def run_studies(
    studies: Studies,
    profile: ProfileName = "smoke",
    task: Tasks = None,
    seed: Seeds = None,
    settings: Settings = None,
    model: Model = None,
    data_dir: DataDir = None,
    models_dir: ModelsDir = None,
    results: Results = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; by default one a core.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="Of the training: auto, fp32 or bf16.")] = "auto",
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler, tcp://host:port, in place of processes here.")
    ] = None,
    only: Annotated[str | None, typer.Option(help="'failed': leave out what was never tried.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many runs of each study.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Also what is done; trained steps are kept.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would run.")] = False,
    timeout: Annotated[float | None, typer.Option(min=1, help="Seconds a notebook cell may take.")] = None,
    keep_going: Annotated[bool, typer.Option(help="Go on after a run failed.")] = True,
) -> None:
    """Carry out what is not done yet. The same command may run on several machines that share the results folder."""
    from contextlib import nullcontext

    from xtc_study.runs.executors import dask_executor

    if only not in (None, "failed"):
        raise ValueError(f"--only {only}: expected 'failed'")
    places = {"data_dir": data_dir, "models_dir": models_dir, "device": device, "precision": precision}
    chosen: dict[str, Any] = {"only_failed": only == "failed", "limit": limit, "force": force}
    failed = 0
    for ablation in _ablations(studies, profile, task, seed, settings, model, results, **places):
        if dry_run:
            for run in ablation.to_do(**chosen):
                out.print(run.run_id)
            out.print(_cost(ablation))
            continue
        with dask_executor(scheduler) if scheduler else nullcontext() as executor:
            failed += _run(ablation, workers, executor, timeout, keep_going, chosen)
        if failed and not keep_going:
            break
    if failed:
        err.print(f"{failed} runs failed; the report shows why, and the same command tries them again", style="red")
        raise typer.Exit(1)


@app.command("collect")
def collect_results(
    studies: Studies,
    profile: ProfileName = "smoke",
    task: Tasks = None,
    seed: Seeds = None,
    settings: Settings = None,
    model: Model = None,
    results: Results = None,
) -> None:
    """Write results.csv and results.parquet: one row per run, task, split and metric."""
    import pandas as pd

    ablations = _ablations(studies, profile, task, seed, settings, model, results)
    frame = pd.concat([ablation.collect() for ablation in ablations], ignore_index=True)
    folder = ablations[0].results
    folder.mkdir(parents=True, exist_ok=True)
    frame.to_csv(folder / "results.csv", index=False)
    frame.to_parquet(folder / "results.parquet", index=False)
    out.print(f"{frame['run_id'].nunique()} runs, {len(frame)} rows: {folder / 'results.csv'}")


@app.command("report")
def write_report(
    studies: Studies,
    profile: ProfileName = "smoke",
    task: Tasks = None,
    seed: Seeds = None,
    settings: Settings = None,
    model: Model = None,
    results: Results = None,
    output: Annotated[Path | None, typer.Option(help="In place of reports/<profile>.")] = None,
) -> None:
    """Write reports/<profile>/index.html."""
    from xtc_study.folders import project_folder
    from xtc_study.report.pages import write_index

    pages = [item.page() for item in _ablations(studies, profile, task, seed, settings, model, results)]
    page = write_index(output or project_folder() / "reports" / profile, pages)
    for study in pages:
        for answer in study.answers:
            out.print(f"{study.name}: {answer.verdict}: {answer.claim} {answer.reasons}", markup=False)
    out.print(f"report: {page}")


def main() -> None:
    """The entry point: errors a user can mend are one message, not a traceback."""
    try:
        app()
    except ValueError as error:
        err.print(f"error: {error}", style="red", markup=False)
        raise SystemExit(2) from None


def _ablations(
    studies: list[str],
    profile: str,
    tasks: list[str] | None,
    seeds: list[int] | None,
    settings: list[str] | None,
    model: str | None,
    results: Path | None,
    **places: Any,
) -> list[Ablation]:
    from xtc_study.ablation import Ablation
    from xtc_study.studies import study_names

    overrides = dict(_setting(text) for text in settings or [])
    if model:
        overrides["model"] = model
    names = study_names() if studies == ["all"] else studies
    return [Ablation(name, profile, tasks, seeds, overrides, results, **places) for name in names]


def _setting(text: str) -> tuple[str, Any]:
    field, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--set {text}: expected FIELD=VALUE, for example --set epochs=3")
    try:
        return field, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ValueError(f"--set {text}: the value is not valid YAML ({error})") from None


def _cost(ablation: Ablation) -> str:
    """What the study costs, in steps and, once something was trained here, in seconds of training."""
    costs = ablation.account()
    text = f"{costs.steps_shared} steps in place of {costs.steps_alone}, {costs.steps_to_do} to train"
    if costs.steps_to_do and costs.seconds_to_do is not None:
        text += f", about {costs.seconds_to_do:,.0f} s of training"
    if costs.share is not None:
        text += f"; sharing brings the study to {costs.share:.0%} of separate pipelines"
    return text


def _run(
    ablation: Ablation,
    workers: int | None,
    executor: Executor | None,
    timeout: float | None,
    keep_going: bool,
    chosen: dict[str, Any],
) -> int:
    """Carries out one study with a progress bar and returns the number of failed runs."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    to_do, failed = ablation.to_do(**chosen), 0
    with Progress(*columns, console=out) as progress:
        bar = progress.add_task(ablation.study.name, total=len(to_do))
        with _bars_of_runs(progress, [ablation.runs_folder / run.run_id for run in to_do]):
            for outcome in ablation.run(workers, executor, timeout=timeout, **chosen):
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
