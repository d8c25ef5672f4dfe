"""The command line, ``xtc-study``: every command, in the order of --help. Starts without importing torch."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated

import typer

from xtc_study.cli.bench import bench_folder, time_files
from xtc_study.cli.console import err, out
from xtc_study.cli.files import build_engine, export_model, predict_texts
from xtc_study.cli.grouped import grouped
from xtc_study.cli.standing import clean_up, show_plan, show_status
from xtc_study.cli.studies import collect_results, run_studies, write_report
from xtc_study.cli.terminal import say_warnings_plainly

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Plan, run and report studies of the extreme compression of pre-trained transformers.",
)
COMMANDS: dict[str, Callable[..., None]] = {
    "plan": show_plan,
    "status": show_status,
    "clean": clean_up,
    "run": run_studies,
    "collect": collect_results,
    "report": write_report,
    "time": time_files,
    "export": export_model,
    "predict": predict_texts,
    "bench": bench_folder,
    "build-engine": build_engine,
}
for name, command in COMMANDS.items():
    app.command(name)(grouped(command))


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(f"xtc-study {version('xtc-study')}", markup=False)
        raise typer.Exit


@app.callback()
def options_of_all(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line. An error that a user can fix becomes one message, not a traceback."""
    say_warnings_plainly(err)
    try:
        app()
    except OSError as error:
        text = str(error)
        if error.filename:
            text = f"{error.filename}: {error.strerror}; choose another folder with --results or --output"
    except ValueError as error:
        text = str(error)
    else:
        return
    err.print(f"error: {text}", style="red", markup=False)
    raise SystemExit(2)
