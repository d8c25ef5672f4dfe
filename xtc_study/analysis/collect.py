"""Run folders in, one tidy frame out: one row a run, task, split and metric, for the runs that are done."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pandas as pd

from xtc_study.errors import first_line
from xtc_study.recipe import Recipe
from xtc_study.runs.lease import is_held
from xtc_study.runs.records import (
    Environment,
    Latency,
    Metrics,
    Params,
    RunFileError,
    State,
    Status,
    read_record,
    state_of,
)
from xtc_study.runs.store import LATENCY
from xtc_study.studies import PlannedRun
from xtc_study.tasks.metric_names import higher_is_better

RunState = State | Literal["interrupted"]
"""``State``, and that of a run that was begun and that no process carries out any more."""
VERSIONS = ("recipe_version", "method_version")
"""1 in a table that was written before there were these columns."""
PREDICTION_COLUMNS = ("split", "idx", "label", "prediction", "teacher_prediction")


def collect(runs_folder: Path, planned: list[PlannedRun]) -> pd.DataFrame:
    """The tidy frame of the planned runs that are done; a run that is not, or whose files are corrupt, has no row.

    Columns: study, arm, run_id, task, split, metric, ``is_primary`` (the split's first metric in metrics.json),
    value, best_value and teacher_value (as the metric gives them; NaN where not stored), higher_is_better (False for
    mae and rmse), n_examples, rows_cut (of them, those longer than max_length) and one_answer (what the file answers
    for every row of the split, where it does), both missing where not stored, every other recipe field, the sizes in
    bytes, latency_ms and latency_of (milliseconds and what they were measured with; missing where they were not),
    duration_s, device, precision, versions (compact JSON), commit (of the code; missing outside git), started (ISO
    text), recipe_version and method_version (of the code that made the run; see ``recipe.VERSION`` and
    ``compress/method_version.py``).
    Columns and dtypes are the same for an empty frame.
    """
    rows = [row for run in planned for row in _rows(runs_folder, run)]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def merged(frame: pd.DataFrame, studies: Sequence[str], before: Path) -> pd.DataFrame:
    """The rows of these studies, after those of other studies in the table that was written before.

    Args:
        frame: what ``collect`` gave for ``studies``, whose rows there are replaced wholly.
        before: results.parquet; one that is missing, unreadable or of other columns has no rows to keep.
    """
    try:
        old = pd.read_parquet(before)
        missing: dict[str, int | None] = dict.fromkeys(ADDED) | dict.fromkeys(VERSIONS, 1)
        missing = {column: value for column, value in missing.items() if column not in old}
        old = old.assign(**missing)[list(COLUMNS)].astype(COLUMNS)
    except (OSError, ValueError, KeyError, TypeError):
        return frame
    others = old[~old["study"].isin(studies)]
    return frame if others.empty else pd.concat([others, frame], ignore_index=True).astype(COLUMNS)


def states(runs_folder: Path, planned: list[PlannedRun]) -> pd.DataFrame:
    """Where each planned run stands. Columns: run_id, arm, task, seed, state, error (text, empty if none).

    The states are those of ``RunState``; ``runs.records.state_of`` tells what each means. A run is interrupted where
    its folder looks as if it was running and no process holds it.
    """
    rows = []
    for run in planned:
        stored, error = state_of(runs_folder / run.run_id)
        abandoned = stored == "running" and not is_held(runs_folder / run.run_id)
        state: RunState = "interrupted" if abandoned else stored
        rows.append(
            {
                "run_id": run.run_id,
                "arm": run.arm,
                "task": run.recipe.task,
                "seed": run.recipe.seed,
                "state": state,
                "error": error,
            }
        )
    kinds = {"run_id": "str", "arm": "str", "task": "str", "seed": "int64", "state": "str", "error": "str"}
    return pd.DataFrame(rows, columns=list(kinds)).astype(kinds)


def predictions(runs_folder: Path, run_id: str) -> pd.DataFrame:
    """One row a dev example, sorted by split and idx: split, idx, label, prediction, teacher_prediction.

    Raises:
        RunFileError: the file is missing, is not Parquet, lacks a column, or holds an example twice.
    """
    path = runs_folder / run_id / "predictions.parquet"
    try:
        frame = pd.read_parquet(path, columns=list(PREDICTION_COLUMNS))
    except (OSError, ValueError, KeyError) as error:  # pyarrow's own errors are ValueErrors and OSErrors
        raise RunFileError(f"{run_id}/predictions.parquet: {first_line(error)}") from error
    if frame.duplicated(["split", "idx"]).any():
        raise RunFileError(f"{run_id}/predictions.parquet: an example (split, idx) occurs twice")
    return frame.sort_values(["split", "idx"], ignore_index=True)


def compact_layers(layers: int | str | tuple[int, ...] | None) -> str:
    """``all``, a count (``3``), a share (``1/2``), or the kept teacher layers (``1.3.5``; a single one is ``1.``)."""
    if layers is None:
        return "all"
    if isinstance(layers, int | str):
        return str(layers)
    return ".".join(map(str, layers)) + ("." if len(layers) == 1 else "")


def shape_words(run: pd.Series) -> str:
    """A student's shape in words, from its row of the tidy frame: ``1/2``, ``all of 1/2`` (of the encoder, whose other
    layers the teacher does without), ``all, width 1/4``.
    """
    words = "all" if run["layers"] == "1/1" else str(run["layers"])
    if run["teacher_layers"] != "all":
        words += f" of {run['teacher_layers']}"
    return words if pd.isna(run["ffn"]) or run["ffn"] == "1/1" else f"{words}, width {run['ffn']}"


def _rows(runs_folder: Path, run: PlannedRun) -> Iterator[dict[str, Any]]:
    folder = runs_folder / run.run_id
    if state_of(folder).state != "done":
        return
    status, metrics = read_record(folder, "status.json", Status), read_record(folder, "metrics.json", Metrics)
    environment = read_record(folder, "environment.json", Environment)
    of_run = {
        "study": run.study,
        "arm": run.arm,
        "run_id": run.run_id,
        **run.recipe.model_dump(),
        "layers": compact_layers(run.recipe.layers),
        "teacher_layers": compact_layers(run.recipe.teacher_layers),
        **metrics.model_dump(exclude={"rows", "lengths", "one_answer"}),
        **_latency(folder),
        **status.model_dump(include={"started", "duration_s"}),
        "device": environment.device,
        "precision": environment.precision,
        "versions": json.dumps(environment.packages, sort_keys=True, separators=(",", ":")),
        "commit": environment.commit,
        "recipe_version": read_record(folder, "params.json", Params).version,
        "method_version": environment.method,
    }
    splits: set[str] = set()
    for score in metrics.rows:
        yield {
            **of_run,
            **score.model_dump(),
            "is_primary": score.split not in splits,
            "higher_is_better": higher_is_better(score.metric),
            "rows_cut": metrics.lengths[score.split].cut if score.split in metrics.lengths else None,
            "one_answer": metrics.one_answer.get(score.split),
        }
        splits.add(score.split)


def _latency(folder: Path) -> dict[str, Any]:
    """latency_ms and latency_of; nothing where it was not measured, or its file cannot be read."""
    if not (folder / LATENCY).is_file():
        return {}
    try:
        found = read_record(folder, LATENCY, Latency)
    except RunFileError:
        return {}
    threads = "1 thread" if found.threads == 1 else f"{found.threads} threads"
    setting = f"{found.batch}, {threads}, {found.engine} engine, {found.processor}"
    return {"latency_ms": found.ms, "latency_of": setting}


def _kinds(annotation: Any) -> set[type]:
    """The plain types an annotation allows: ``Annotated[int, ...] | None`` gives int and NoneType."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kinds(arguments[0])
    if origin in (Union, types.UnionType):
        return set().union(*map(_kinds, arguments))
    if origin is Literal:
        return {type(value) for value in arguments}
    return {origin or annotation}


def _dtype(field: str) -> str:
    kinds = _kinds(Recipe.model_fields[field].annotation)
    optional = type(None) in kinds
    plain = {bool: "boolean" if optional else "bool", int: "Int64" if optional else "int64", float: "float64"}
    remaining = kinds - {type(None)}
    return plain.get(remaining.pop(), "str") if len(remaining) == 1 else "str"  # layers becomes text


ADDED = {"rows_cut": "Int64", "one_answer": "str"}
"""Columns of later date, which a table that was written before may lack."""

COLUMNS: dict[str, str] = {
    **dict.fromkeys(("study", "arm", "run_id", "task", "split", "metric"), "str"),
    "is_primary": "bool",
    **dict.fromkeys(("value", "best_value", "teacher_value"), "float64"),
    "higher_is_better": "bool",
    "n_examples": "int64",
    **ADDED,
    **{field: _dtype(field) for field in Recipe.model_fields if field != "task"},
    **dict.fromkeys(("size_bytes", "size_bytes_paper", "teacher_size_bytes"), "int64"),
    "latency_ms": "float64",
    "latency_of": "str",
    "duration_s": "float64",
    **dict.fromkeys(("device", "precision", "versions", "commit", "started"), "str"),
    **dict.fromkeys(VERSIONS, "int64"),
}
"""Every column of the tidy frame and its dtype, in order."""
