"""The command line: xtc-study plan | run | status | collect | report | clean, and in cli_files.py time | export |
predict | bench. Starts without importing torch."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from xtc_study import __version__
from xtc_study.cli_files import add_file_commands
from xtc_study.cli_options import (
    Axes,
    DataDir,
    Device,
    Model,
    ModelsDir,
    Precision,
    ProfileName,
    ReportStudies,
    Results,
    Seeds,
    Settings,
    Studies,
    Synonyms,
    Tasks,
    chosen_ablations,
)
from xtc_study.terminal import carry_out, cost_text, kill_workers, say_warnings_plainly, states_now

if TYPE_CHECKING:
    from xtc_study.ablation import Ablation

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A study of the extreme compression of pre-trained transformers, in notebooks.",
)
out, err = Console(soft_wrap=True), Console(stderr=True, soft_wrap=True)


def _version(wanted: bool) -> None:
    if wanted:
        out.print(f"xtc-study {__version__}", markup=False)
        raise typer.Exit


@app.callback()
def options_of_all(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="And no more.")] = False,
) -> None:
    pass


@app.command("plan")
def show_plan(
    studies: Studies,
    profile: ProfileName = "smoke",
    task: Tasks = None,
    seed: Seeds = None,
    settings: Settings = None,
    axis: Axes = None,
    model: Model = None,
    data_dir: DataDir = None,
    models_dir: ModelsDir = None,
    synonyms: Synonyms = None,
    results: Results = None,
    every_run: Annotated[bool, typer.Option("--list", help="A line for every run: its state and its id.")] = False,
    measure: Annotated[
        bool, typer.Option("--measure", help="First measure training steps of the model on this device.")
    ] = False,
    device: Device = "auto",
    precision: Precision = "auto",
) -> None:
    """What would run, what is there already, and what it will cost. Takes run's places too, and checks them."""
    from xtc_study.together import account_of

    places = {"data_dir": data_dir, "models_dir": models_dir, "synonyms": synonyms}
    computes = {"device": device, "precision": precision}
    ablations = chosen_ablations(studies, profile, task, seed, settings, axis, model, results, **places, **computes)
    for ablation in ablations:
        ablation.check_models()
    _say_what_was_left_out(ablations)
    if measure:
        _measure(ablations, device)
    runs: dict[str, str] = {}
    for ablation in ablations:
        states = states_now(ablation)
        runs.update(states[["run_id", "state"]].itertuples(index=False, name=None))
        counts = states.groupby("arm", sort=False)["state"].value_counts().unstack(fill_value=0)
        table = Table("arm", *counts.columns, title=f"{ablation.study.name}: {ablation.study.question}")
        for row in counts.reset_index().itertuples(index=False, name=None):
            table.add_row(*(escape(str(value)) for value in row))
        out.print(table)
        if every_run:
            for run in states.itertuples():
                out.print(f"{run.state:8} {run.run_id}", markup=False)
        done = int((states["state"] == "done").sum())
        out.print(f"{len(states)} runs planned, {done} done, {len(states) - done} to do")
    if len(ablations) > 1:
        done = sum(state == "done" for state in runs.values())
        out.print(f"all together: {len(runs)} runs planned, {done} done, {len(runs) - done} to do")
    out.print(cost_text(account_of(ablations), ablations[0].step_times()))
    out.print(f"results: {ablations[0].results}", markup=False)


@app.command("status")
def show_status(
    studies: Studies,
    profile: ProfileName = "smoke",
    task: Tasks = None,
    seed: Seeds = None,
    settings: Settings = None,
    axis: Axes = None,
    model: Model = None,
    results: Results = None,
) -> None:
    """Where the runs stand, and why any failed. Exits with 1 if one did."""
    failed = 0
    ablations = chosen_ablations(studies, profile, task, seed, settings, axis, model, results)
    out.print(f"results: {ablations[0].results}", markup=False)
    for ablation in ablations:
        states = states_now(ablation)
        counts = states["state"].value_counts()
        out.print(f"{ablation.study.name}: " + ", ".join(f"{count} {state}" for state, count in counts.items()))
        for run in states[states["state"].isin(["failed", "corrupt"])].itertuples():
            failed += 1
            error = str(run.error).removeprefix(f"{run.run_id}/")  # a damaged file's message names the run too
            out.print(f"  {run.state}: {run.run_id}: {error}", markup=False)
        if "interrupted" in counts:
            out.print("  interrupted: nobody is at them; the same run command goes on with them")
    if failed:
        out.print("xtc-study run tries them again; xtc-study clean removes their folders")
        raise typer.Exit(1)


@app.command("clean")
def clean_up(
    studies: Studies,
    profile: ProfileName = "smoke",
    task: Tasks = None,
    seed: Seeds = None,
    settings: Settings = None,
    axis: Axes = None,
    model: Model = None,
    results: Results = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
) -> None:
    """Remove the folders of failed and interrupted runs, and what killed trainings left. Done runs and trained
    steps stay."""
    from xtc_study.runs.clean import leftovers, remove

    bad: dict[str, None] = {}
    ablations = chosen_ablations(studies, profile, task, seed, settings, axis, model, results)
    for ablation in ablations:
        states = states_now(ablation)
        bad |= dict.fromkeys(states[states["state"].isin(["failed", "corrupt", "interrupted"])]["run_id"].map(str))
    found = leftovers(ablations[0].results, list(bad), _say)
    for path in found:
        out.print(f"{'would remove' if dry_run else 'removed'} {path}", markup=False)
    if not found:
        out.print(f"nothing to remove in {ablations[0].results}", markup=False)
    if not dry_run:
        remove(found)


@app.command("run")
def run_studies(
    studies: Studies,
    profile: ProfileName = "smoke",
    task: Tasks = None,
    seed: Seeds = None,
    settings: Settings = None,
    axis: Axes = None,
    model: Model = None,
    data_dir: DataDir = None,
    models_dir: ModelsDir = None,
    synonyms: Synonyms = None,
    results: Results = None,
    workers: Annotated[int | None, typer.Option(min=1, metavar="N", help="Processes; by default one a core.")] = None,
    device: Device = "auto",
    precision: Precision = "auto",
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler, tcp://host:port, in place of processes here.")
    ] = None,
    only: Annotated[str | None, typer.Option(help="'failed': leave out what was never tried.")] = None,
    arm: Annotated[list[str] | None, typer.Option("--arm", help="Only this arm; repeat for several.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="At most so many runs of each study.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Also what is done; trained steps are kept.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would run.")] = False,
    timeout: Annotated[
        float | None, typer.Option(min=1, metavar="S", help="Seconds a notebook cell may take.")
    ] = None,
    keep_going: Annotated[bool, typer.Option(help="Go on after a run failed.")] = True,
) -> None:
    """Carry out what is not done yet. The same command may run on several machines that share the results folder."""
    from contextlib import nullcontext

    from xtc_study.runs.executors import dask_executor
    from xtc_study.together import account_of

    if only not in (None, "failed"):
        raise ValueError(f"--only {only}: expected 'failed'")
    places = {"data_dir": data_dir, "models_dir": models_dir, "synonyms": synonyms}
    computes = {"device": device, "precision": precision}
    chosen: dict[str, Any] = {"only_failed": only == "failed", "limit": limit, "force": force, "arms": arm}
    ablations = chosen_ablations(studies, profile, task, seed, settings, axis, model, results, **places, **computes)
    for ablation in ablations:
        ablation.check_models()
    _say_what_was_left_out(ablations)
    if dry_run:
        for run_id in dict.fromkeys(run.run_id for ablation in ablations for run in ablation.to_do(**chosen)):
            out.print(run_id, markup=False)
        costs = cost_text(account_of(ablations), ablations[0].step_times())
        out.print(f"{costs}; results: {ablations[0].results}", markup=False)
        return
    ablations[0].results.mkdir(parents=True, exist_ok=True)  # or say at once that it cannot be
    out.print(f"results: {ablations[0].results}", markup=False)
    try:
        with dask_executor(scheduler) if scheduler else nullcontext() as executor:
            failed = carry_out(ablations, out, workers, executor, timeout, keep_going, chosen)
    except KeyboardInterrupt:
        kill_workers()
        err.print("stopped; the same command goes on where this one was", style="yellow")
        raise typer.Exit(130) from None
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
    axis: Axes = None,
    model: Model = None,
    results: Results = None,
) -> None:
    """Write results.csv and results.parquet: one row per run, task, split and metric. Other studies' rows stay."""
    import pandas as pd

    from xtc_study.analysis.collect import merged

    ablations = chosen_ablations(studies, profile, task, seed, settings, axis, model, results)
    frame = pd.concat([ablation.collect() for ablation in ablations], ignore_index=True)
    folder = ablations[0].results
    folder.mkdir(parents=True, exist_ok=True)
    table = merged(frame, [ablation.study.name for ablation in ablations], folder / "results.parquet")
    table.to_csv(folder / "results.csv", index=False)
    table.to_parquet(folder / "results.parquet", index=False)
    kept = len(table) - len(frame)
    others = f" (and {kept} rows of other studies, kept)" if kept else ""
    out.print(f"{frame['run_id'].nunique()} runs, {len(frame)} rows{others}: {folder / 'results.csv'}", markup=False)


@app.command("report")
def write_report(
    studies: ReportStudies = None,
    profile: ProfileName = "smoke",
    task: Tasks = None,
    seed: Seeds = None,
    settings: Settings = None,
    axis: Axes = None,
    model: Model = None,
    results: Results = None,
    output: Annotated[Path | None, typer.Option(help="In place of reports/<profile>.")] = None,
    format: Annotated[str, typer.Option(help="html; or md or pdf beside it.")] = "html",
    runs: Annotated[bool, typer.Option("--runs/--no-runs", help="A page for each run; unchanged ones stay.")] = True,
    published: Annotated[bool, typer.Option("--published", help="Only what was run.")] = False,
    show: Annotated[bool, typer.Option("--open", help="Show the index in the browser.")] = False,
) -> None:
    """Write reports/<profile>/index.html, a page for each study and one for each run. They need no network."""
    from xtc_study.folders import project_folder
    from xtc_study.report.formats import check_format, write_format
    from xtc_study.report.pages import write_report as write_pages

    browser = check_format(format)
    ablations = chosen_ablations(studies or ["all"], profile, task, seed, settings, axis, model, results)
    _say_what_was_left_out(ablations)
    pages = [item.page() for item in ablations]
    index = write_pages(
        output or project_folder() / "reports" / profile,
        pages,
        profile=profile,
        runs_folder=ablations[0].runs_folder if runs else None,
        notebooks_folder=ablations[0].results / "notebooks" if runs else None,
        run_commands={run_id: text for item in ablations for run_id, text in item.run_commands().items()},
        published=published,
    )
    for study in pages:
        for answer in study.answers:
            out.print(f"{study.name}: {answer.verdict}: {answer.claim} {answer.reasons}", markup=False)
    written = write_format(format, index, pages, browser, profile)
    out.print(f"report: {written}", markup=False)
    if show:
        webbrowser.open(written.absolute().as_uri())


add_file_commands(app)  # last, so that --help lists them after the verbs of a study


def main() -> None:
    """The entry point: errors a user can mend are one message, not a traceback."""
    say_warnings_plainly(err)
    try:
        app()
    except OSError as error:
        text = str(error)
        if error.filename:
            text = f"{error.filename}: {error.strerror}; choose another with --results or --output"
    except ValueError as error:
        text = str(error)
    else:
        return
    err.print(f"error: {text}", style="red", markup=False)
    raise SystemExit(2)


def _say(text: str) -> None:
    err.print(text, style="dim", markup=False)


def _say_what_was_left_out(ablations: list[Ablation]) -> None:
    """What chosen axes leave of a study whose reference or claims are about other arms."""
    from xtc_study.studies import load_study, study_at

    for one in ablations:
        whole = study_at(load_study(one.study.name), one.profile.name)
        if (one.study.reference, len(one.study.claims)) != (whole.reference, len(whole.claims)):
            _say(f"{one.study.name}: {one.in_words()}")


def _measure(ablations: list[Ablation], device: str) -> None:
    """Measures training steps of each model the studies name and keeps the result beside their runs."""
    from xtc_study.runs.step_times import write_step_times
    from xtc_study.training.step_time import measure_step_times

    for model in dict.fromkeys(run.recipe.model for ablation in ablations for run in ablation.planned):
        out.print(f"measuring training steps of {model}", markup=False)
        times = measure_step_times(model, ablations[0].models_dir, device)
        out.print(f"kept in {write_step_times(ablations[0].results, times)}", markup=False)
