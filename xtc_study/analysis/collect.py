"""Read run folders into one tidy frame: one row per run, task, split and metric, for the runs that are done."""

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
"""``State``, or ``interrupted``: the run was started, but no process is executing it."""
VERSIONS = ("recipe_version", "method_version")
"""Columns that are 1 in a table written before they were added."""
TABLE = "none, table of width "
"""How the shape of a static table begins, in place of its layers."""
PREDICTION_COLUMNS = ("split", "idx", "label", "prediction", "teacher_prediction")


def collect(runs_folder: Path, planned: Sequence[PlannedRun], trials: bool = False) -> pd.DataFrame:
    """Return the tidy frame of the planned runs that are done. Other runs, corrupt ones and trials have no row.

    Args:
        runs_folder: where the folders of the runs are.
        planned: the runs.
        trials: return the rows of trials instead, whose scores are on held-out training rows; never mix the two.

    Columns and dtypes (``COLUMNS``) are the same for an empty frame:

    - study, arm, run_id, task, split, metric; ``is_primary``: whether it is the split's first metric in metrics.json
    - value, best_value and teacher_value: in the metric's scale; NaN if not stored
    - higher_is_better: False for mae and rmse
    - n_examples; rows_cut: how many of them are longer than max_length; missing if not stored
    - one_answer: the class, if the model predicts the same one for every row of the split; missing if not stored
    - every other recipe field (``holdout`` is missing but for trials)
    - size_bytes, size_bytes_paper, teacher_size_bytes
    - latency_ms and latency_of: milliseconds and the setting they were measured in; missing if not measured
    - duration_s, device, precision, versions (compact JSON), commit (of the code; missing outside git), started (ISO
      text)
    - recipe_version and method_version: of the code that made the run (``recipe.VERSION`` and
      ``compress/method_version.py``)
    """
    chosen = [run for run in planned if (run.recipe.holdout is not None) == trials]
    rows = [row for run in chosen for row in _rows(runs_folder, run)]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def merged(frame: pd.DataFrame, studies: Sequence[str], before: Path) -> pd.DataFrame:
    """Return an earlier table with the rows of these studies replaced by those of the frame.

    Rows of other studies come first.

    Args:
        frame: what ``collect`` returned for ``studies``.
        studies: the studies to replace, with all their rows.
        before: the earlier results.parquet. If it is missing, unreadable or has other columns, no row is kept.
    """
    try:
        old = pd.read_parquet(before)
        missing: dict[str, int | None] = dict.fromkeys((*ADDED, *ADDED_FIELDS)) | dict.fromkeys(VERSIONS, 1)
        missing = {column: value for column, value in missing.items() if column not in old}
        old = old.assign(**missing)[list(COLUMNS)].astype(COLUMNS)
    except (OSError, ValueError, KeyError, TypeError):
        return frame
    others = old[~old["study"].isin(studies)]
    return frame if others.empty else pd.concat([others, frame], ignore_index=True).astype(COLUMNS)


def states(runs_folder: Path, planned: Sequence[PlannedRun]) -> pd.DataFrame:
    """Return the state of each planned run. Columns: run_id, arm, task, seed, state, error (text, empty if none).

    The states are those of ``RunState``; ``runs.records.state_of`` defines them. A run is interrupted if its folder
    records it as running but no process holds its lease.
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
    """Return one row per dev example, sorted by split and idx: split, idx, label, prediction, teacher_prediction.

    Raises:
        RunFileError: the file is missing, is not Parquet, lacks a column, or has an example twice.
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
    """Return the recipe field ``layers`` as text.

    ``all``, a count (``3``), a share (``1/2``), or the kept teacher layers (``1.3.5``; a single one is ``1.``).
    """
    if layers is None:
        return "all"
    if isinstance(layers, int | str):
        return str(layers)
    return ".".join(map(str, layers)) + ("." if len(layers) == 1 else "")


def shape_words(run: pd.Series) -> str:
    """Return a student's shape in words: ``1/2``, ``all of 1/2`` or ``all, width 1/4``.

    ``all of 1/2``: every layer of a teacher that itself has half of the encoder's layers.

    A static table has no layers: ``none, table of width 128``.

    Args:
        run: the student's row of the tidy frame.
    """
    if pd.notna(run.get("static")):
        return f"{TABLE}{run['static']:g}"
    words = "all" if run["layers"] == "1/1" else str(run["layers"])
    if run["teacher_layers"] != "all":
        words += f" of {run['teacher_layers']}"
    return words if pd.isna(run["ffn"]) or run["ffn"] == "1/1" else f"{words}, width {run['ffn']}"


def _rows(runs_folder: Path, run: PlannedRun) -> Iterator[dict[str, Any]]:
    folder = runs_folder / run.run_id
    if state_of(folder).state != "done":
        return

    # What all rows of the run share.
    status, metrics = read_record(folder, "status.json", Status), read_record(folder, "metrics.json", Metrics)
    environment = read_record(folder, "environment.json", Environment)
    run_columns = {
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

    # One row per score; the first metric of a split is the primary one.
    splits: set[str] = set()
    for score in metrics.rows:
        yield {
            **run_columns,
            **score.model_dump(),
            "is_primary": score.split not in splits,
            "higher_is_better": higher_is_better(score.metric),
            "rows_cut": metrics.lengths[score.split].cut if score.split in metrics.lengths else None,
            "one_answer": metrics.one_answer.get(score.split),
        }
        splits.add(score.split)


def _latency(folder: Path) -> dict[str, Any]:
    """Return latency_ms and latency_of; empty if they were not measured or the file cannot be read."""
    if not (folder / LATENCY).is_file():
        return {}
    try:
        latency = read_record(folder, LATENCY, Latency)
    except RunFileError:
        return {}
    return {"latency_ms": latency.ms, "latency_of": setting_of(latency)}


def setting_of(latency: Latency) -> str:
    """Return what a time was measured with, as text; only times of one setting can be compared."""
    threads = "1 thread" if latency.threads == 1 else f"{latency.threads} threads"
    return f"{latency.batch}, {threads}, {latency.engine} engine, {latency.processor}"


def _kinds(annotation: Any) -> set[type]:
    """Return the plain types that an annotation allows: ``Annotated[int, ...] | None`` gives int and NoneType."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kinds(arguments[0])
    if origin in (Union, types.UnionType):
        return set().union(*map(_kinds, arguments))
    if origin is Literal:
        return {type(value) for value in arguments}
    return {origin or annotation}


def _dtype(field: str) -> str:
    """Return the pandas dtype of a recipe field, so that a new field gets its column without more code."""
    kinds = _kinds(Recipe.model_fields[field].annotation)
    optional = type(None) in kinds
    plain = {bool: "boolean" if optional else "bool", int: "Int64" if optional else "int64", float: "float64"}
    remaining = kinds - {type(None)}
    return plain.get(remaining.pop(), "str") if len(remaining) == 1 else "str"  # layers becomes text


ADDED = {"rows_cut": "Int64", "one_answer": "str"}
"""Columns added later, which an older table may lack."""
ADDED_FIELDS = ("holdout", "static")
"""Recipe fields added later, likewise."""

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
