"""The commands about the state of studies: xtc-study plan | status | clean. Starts without importing torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from xtc_study.cli.console import out, say
from xtc_study.cli.options import (
    ComputeChoice,
    DataPlaces,
    Selection,
    check_places,
    say_what_was_left_out,
)
from xtc_study.cli.plan_data import say_data
from xtc_study.cli.terminal import clear_steps, measure_models, say_needs

if TYPE_CHECKING:
    import pandas as pd

    from xtc_study.study import Study


def show_plan(
    selection: Selection,
    data: DataPlaces,
    choice: ComputeChoice,
    every_run: Annotated[bool, typer.Option("--list", help="Print the state and id of every run.")] = False,
    measure: Annotated[
        bool, typer.Option("--measure", help="First measure training steps of the model on this device.")
    ] = False,
) -> None:
    """Show which runs are done, which are not, and what those will cost. Checks models and folders; starts nothing."""
    compute = choice.compute()
    studies = selection.chosen(data, compute)
    check_places(studies)
    say_what_was_left_out(studies)
    if measure:
        measure_models(studies, compute, out)

    # Show a table for each study, then the total.
    runs: dict[str, str] = {}
    for study in studies:
        states = study.states()
        runs.update(states[["run_id", "state"]].itertuples(index=False, name=None))
        counts = states.groupby("arm", sort=False)["state"].value_counts().unstack(fill_value=0)
        table = Table("arm", *counts.columns, title=f"{study.spec.name}: {study.spec.question}")
        for row in counts.reset_index().itertuples(index=False, name=None):
            table.add_row(*(escape(str(value)) for value in row))
        out.print(table)
        if every_run:
            for run in states.itertuples():
                out.print(f"{run.state:8} {run.run_id}", markup=False)
        done = int((states["state"] == "done").sum())
        out.print(f"{len(states)} runs planned, {done} done, {len(states) - done} to do")
        runs.update(_say_trials(study, every_run))
        if power := study.power():
            out.print(power, markup=False)
    if len(studies) > 1:
        done = sum(state == "done" for state in runs.values())
        out.print(f"in total: {len(runs)} runs planned, {done} done, {len(runs) - done} to do")

    # Show what the runs read and need.
    say_data(studies, out)
    say_needs(studies, runs, out)
    out.print(f"results: {studies[0].places.results}", markup=False)


def show_status(
    selection: Selection,
) -> None:
    """Show the state of each study's runs by arm, the progress of running ones, and why runs failed. Exits with 1 if
    any failed."""
    import pandas as pd

    from xtc_study.runs.progress import running_text

    failed = 0
    studies = selection.chosen()
    out.print(f"results: {studies[0].places.results}", markup=False)
    for study in studies:
        states = study.states()
        counts, trials = states["state"].value_counts(), study.runs.trial_states()
        out.print(f"{study.spec.name}: {_counted(counts)}")
        if len(counts) > 1:
            for arm, of_arm in states.groupby("arm", sort=False)["state"]:
                out.print(f"  {arm}: {_counted(of_arm.value_counts())}", markup=False)
        if len(trials):
            out.print(f"  trials: {_counted(trials['state'].value_counts())}", markup=False)
            states = pd.concat([states, trials], ignore_index=True)
            counts = states["state"].value_counts()
        for run_id in dict.fromkeys(states.loc[states["state"] == "running", "run_id"]):
            out.print(f"  running: {running_text(study.places.runs / run_id)}", markup=False)
        for run in states[states["state"].isin(["failed", "corrupt"])].itertuples():
            failed += 1
            error = str(run.error).removeprefix(f"{run.run_id}/")  # the message of a damaged file names the run too
            out.print(f"  {run.state}: {run.run_id}: {error}", markup=False)
        if "interrupted" in counts:
            out.print("  interrupted: no process is working on these; rerun the same command to resume")
    if failed:
        out.print("xtc-study run retries these runs; xtc-study clean removes their folders")
        raise typer.Exit(1)


def clean_up(
    selection: Selection,
    steps: Annotated[bool, typer.Option("--steps", help="Also remove trained steps that no run uses.")] = False,
    finished_steps: Annotated[
        bool, typer.Option("--finished-steps", help="Also remove those, and trained steps that only done runs use.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be removed.")] = False,
) -> None:
    """Remove the folders of failed and interrupted runs and the leftovers of killed trainings. Keeps done runs and,
    unless asked, trained steps; never removes a step that a run still needs."""
    from xtc_study.runs.cleanup import leftovers, remove

    bad: dict[str, None] = {}
    studies = selection.chosen()
    for study in studies:
        states = study.runs.states()
        bad |= dict.fromkeys(states[states["state"].isin(["failed", "corrupt", "interrupted"])]["run_id"].map(str))
    folders = leftovers(studies[0].places.results, list(bad), say)
    for path in folders:
        out.print(f"{'would remove' if dry_run else 'removed'} {path}", markup=False)
    if not folders:
        out.print(f"nothing to remove in {studies[0].places.results}", markup=False)
    if not dry_run:
        remove(folders)
    clear_steps(studies, out, steps, finished_steps, dry_run)


def _say_trials(study: Study, every_run: bool) -> dict[str, str]:
    """Print what a study tunes and how many of its trials are done; return the state of each trial by its id."""
    states = study.runs.trial_states()
    if states.empty:
        return {}
    if every_run:
        for run in states.itertuples():
            out.print(f"{run.state:8} {run.run_id}", markup=False)
    ended, waiting = int(states["state"].isin(["done", "diverged"]).sum()), sum(run.waits for run in study.planned)
    tune = study.tune
    seeds = ", ".join(map(str, tune.seeds))
    out.print(
        f"{len(states)} trials planned, {ended} done, {len(states) - ended} to do; they try {tune.in_words()} "
        f"(held out: {tune.holdout} of the training rows; seeds: {seeds})",
        markup=False,
    )
    for choice in study.runs.choices():
        if choice.chosen is not None:
            out.print(f"  {choice.arm}, {choice.task}: at {choice.text}", markup=False)
    if waiting:
        out.print(f"{waiting} of the runs wait for trials to choose their values; their cost is that of the arm's own")
    for arm in study.runs.untuned_arms():
        out.print(f"  {arm}: not tuned, since it sets these fields itself or does not use them", markup=False)
    return dict(states[["run_id", "state"]].itertuples(index=False, name=None))


def _counted(counts: pd.Series) -> str:
    return ", ".join(f"{count} {state}" for state, count in counts.items())
