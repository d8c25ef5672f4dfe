"""The commands that carry out, collect and report studies: xtc-study run | collect | report. Starts without torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xtc_study.cli.console import err, out
from xtc_study.cli.options import (
    ComputeChoice,
    DataPlaces,
    ReportSelection,
    Selection,
    check_places,
    say_what_was_left_out,
)
from xtc_study.cli.plan_data import say_data
from xtc_study.cli.terminal import carry_out, cost_text, kill_workers

if TYPE_CHECKING:
    from xtc_study.report.study import StudyPage
    from xtc_study.runs.carry_out import RunFilter


@dataclass
class RunChoice:
    """Which of the studies' runs to carry out."""

    only: Annotated[str | None, typer.Option(metavar="failed", help="Carry out only runs that failed before.")] = None
    arm: Annotated[list[str] | None, typer.Option("--arm", help="Carry out only this arm; repeat for several.")] = None
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Maximum number of runs per study.")] = None
    force: Annotated[bool, typer.Option("--force", help="Rerun done runs too; trained steps are reused.")] = False

    def filter(self) -> RunFilter:
        """Return the choice as a filter for ``Study.to_do``.

        Raises:
            ValueError: ``only`` is anything but failed.
        """
        from xtc_study.runs.carry_out import RunFilter

        if self.only not in (None, "failed"):
            raise ValueError(f"--only {self.only}: expected 'failed'")
        return RunFilter(self.only == "failed", self.limit, self.force, self.arm)


def run_studies(
    selection: Selection,
    data: DataPlaces,
    choice: ComputeChoice,
    runs: RunChoice,
    workers: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Number of worker processes; by default one per GPU, or one per core."),
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Send runs to the workers of this Dask scheduler (tcp://host:port).")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would run.")] = False,
    timeout: Annotated[
        float | None,
        typer.Option(min=1, metavar="S", help="Fail a run whose notebook cell takes longer than S seconds."),
    ] = None,
    keep_going: Annotated[bool, typer.Option(help="Continue with the other runs after one has failed.")] = True,
) -> None:
    """Carry out the runs that are not done yet. Several machines that share a results folder may do so at once."""
    from contextlib import nullcontext

    from xtc_study.runs.dask_scheduler import dask_executor
    from xtc_study.suite import cost_together

    which = runs.filter()
    studies = selection.chosen(data, choice.compute())
    check_places(studies)
    say_what_was_left_out(studies)
    if dry_run:
        for run_id in dict.fromkeys(run.run_id for study in studies for run in study.to_do(which)):
            out.print(run_id, markup=False)
        if waiting := len({run.run_id for study in studies for run in study.planned if run.waits}):
            out.print(f"and {waiting} more, once the trials above have chosen their values")
        costs = cost_text(cost_together(studies), studies[0].step_times())
        out.print(f"{costs}; results: {studies[0].places.results}", markup=False)
        return

    say_data(studies, err, only_bad=True)
    studies[0].places.results.mkdir(parents=True, exist_ok=True)
    out.print(f"results: {studies[0].places.results}", markup=False)
    try:
        with dask_executor(scheduler) if scheduler else nullcontext() as executor:
            failed = carry_out(studies, out, workers, executor, timeout, keep_going, which)
    except KeyboardInterrupt:
        kill_workers()
        err.print("stopped; rerun the same command to resume", style="yellow")
        raise typer.Exit(130) from None
    if failed:
        count = f"{failed} run" + ("s" if failed > 1 else "")
        err.print(f"{count} failed; the report shows why; rerun the same command to retry", style="red")
        raise typer.Exit(1)


def collect_results(
    selection: Selection,
) -> None:
    """Write results.csv and results.parquet: one row per run, task, split and metric. Keeps other studies' rows."""
    import pandas as pd

    from xtc_study.analysis.collect import merged

    studies = selection.chosen()
    frame = pd.concat([study.collect() for study in studies], ignore_index=True)
    folder = studies[0].places.results
    folder.mkdir(parents=True, exist_ok=True)
    table = merged(frame, [study.spec.name for study in studies], folder / "results.parquet")
    table.to_csv(folder / "results.csv", index=False)
    table.to_parquet(folder / "results.parquet", index=False)
    kept = len(table) - len(frame)
    others = f" (and {kept} rows of other studies, kept)" if kept else ""
    out.print(f"{frame['run_id'].nunique()} runs, {len(frame)} rows{others}: {folder / 'results.csv'}", markup=False)


def write_report(
    selection: ReportSelection,
    output: Annotated[Path | None, typer.Option(help="Folder of the report; by default reports/<profile>.")] = None,
    format: Annotated[
        str, typer.Option(metavar="html|md|pdf", help="Format of the report; md and pdf are written beside html.")
    ] = "html",
    runs: Annotated[
        bool, typer.Option("--runs/--no-runs", help="Write a page for each run; pages of unchanged runs are kept.")
    ] = True,
    published: Annotated[
        bool, typer.Option("--published", help="Show only what was run, and nothing that remains to be run.")
    ] = False,
    show: Annotated[bool, typer.Option("--open", help="Open the index in the browser.")] = False,
) -> None:
    """Write reports/<profile>/index.html, a page for each study and one for each run. Pages need no network."""
    import webbrowser

    from xtc_study.places import work_folder
    from xtc_study.report.pages.html import write_report as write_pages
    from xtc_study.report.pages.markdown_pdf import check_format, write_format
    from xtc_study.report.study import with_done_runs

    browser = check_format(format)
    studies = selection.chosen()
    say_what_was_left_out(studies)
    pages: list[StudyPage] = [study.page() for study in studies]
    if published:
        pages = with_done_runs(pages)
        if not pages:
            raise ValueError(
                f"--published: no run is done in {studies[0].places.results}, so there is nothing to show; carry out "
                "runs with xtc-study run, name their folder with --results, or omit --published"
            )

    index = write_pages(
        output or work_folder() / "reports" / selection.profile,
        pages,
        profile=selection.profile,
        runs_folder=studies[0].places.runs if runs else None,
        notebooks_folder=studies[0].places.results / "notebooks" if runs else None,
        run_commands={run_id: text for study in studies for run_id, text in study.run_commands().items()},
        published=published,
    )
    _print_answers(pages)
    written = write_format(format, index, pages, browser, selection.profile, published)
    out.print(f"report: {written}", markup=False)
    if show:
        webbrowser.open(written.absolute().as_uri())


def _print_answers(pages: Sequence[StudyPage]) -> None:
    """Print a line for each claim that was tested, and one line for all others."""
    untouched: Counter[str] = Counter()
    for study in pages:
        for answer in study.answers:
            if answer.verdict == "not run":
                untouched[study.name] += 1
            else:
                out.print(f"{study.name}: {answer.verdict}: {answer.claim.sentence} {answer.reasons}", markup=False)
    if untouched:
        claims = f"{untouched.total()} claim" + ("s" if untouched.total() > 1 else "")
        out.print(f"not run: {claims} of {', '.join(untouched)}", markup=False)
