"""The content that the files of a run folder must have, and the state they show. The only definition of done."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self, TypeVar

from pydantic import BaseModel, Field, FiniteFloat, ValidationError, model_validator

from xtc_study.tasks.metric_names import ClassMetric, ScoreMetric, higher_is_better

PREDICTIONS = "predictions.parquet"
State = Literal["missing", "running", "done", "failed", "corrupt"]


class RunFileError(ValueError):
    """A file of a run that cannot be used. The message names the run, the file and what is wrong with it."""


F1OfClass = Annotated[str, Field(pattern=r"^f1_of:\d+:")]
Number = Annotated[int, Field(ge=0)]


class Score(BaseModel):
    """One split and metric. Values are on the metric's own scale: in [-1, 1], or an error of at least 0."""

    split: str
    metric: ClassMetric | ScoreMetric | F1OfClass
    value: FiniteFloat
    best_value: FiniteFloat | None = None
    teacher_value: FiniteFloat | None = None
    n_examples: Number

    @model_validator(mode="after")
    def _in_range(self) -> Self:
        for value in (self.value, self.best_value, self.teacher_value):
            in_range = value is None or (-1 <= value <= 1 if higher_is_better(self.metric) else value >= 0)
            if not in_range:
                raise ValueError(f"{self.metric}={value!r}: out of its range")
        return self


class Cut(BaseModel):
    """How many rows of a split were longer than ``max_length`` (``tasks/lengths.py``)."""

    cut: Number


class Metrics(BaseModel):
    """metrics.json: scores and sizes in bytes."""

    rows: list[Score]
    size_bytes: Number
    size_bytes_paper: Number
    teacher_size_bytes: Number
    lengths: dict[str, Cut] = {}
    """Counts by split; runs of version 0.1 have none."""
    one_answer: dict[str, str] = {}
    """By split, the class or number that the file predicts for every row; absent where predictions differ."""


class Latency(BaseModel):
    """latency.json: milliseconds, and what they were measured with."""

    ms: FiniteFloat
    batch: str
    threads: int
    engine: str
    processor: str


class Status(BaseModel):
    """status.json: ``state`` is done or failed."""

    state: str
    started: str = ""
    duration_s: float = float("nan")


class Environment(BaseModel):
    """environment.json: what the run was computed with."""

    device: str = ""
    precision: str = ""
    packages: dict[str, Any] = {}
    method: int = 1
    """Oldest version of the method (``compress/method_version.py``) in the run; 1 where it was not recorded yet."""
    commit: str | None = None
    """For information: not every commit changes the numbers of a run."""


class Params(BaseModel):
    """params.json: any JSON object. The recipe is not read from it but from the plan, whose run_id is its hash."""

    version: int = 1
    """``recipe.VERSION`` of the code that wrote it."""


class Error(BaseModel):
    """error.json: why the run failed."""

    type: str = "Error"
    message: str = ""
    cell: int | str | None = None


File = TypeVar("File", bound=BaseModel)


class RunState(NamedTuple):
    """The state of a run, and why."""

    state: State
    why: str = ""
    """One line if the run failed or is corrupt; else empty."""


def state_of(folder: Path) -> RunState:
    """Return the state of a run.

    ``done``: status.json has this state, params, metrics and environment can be read, and the predictions exist.
    ``corrupt``: status.json exists, but it or a file of a done run cannot be read. ``failed``: status.json has another
    state, or there is only error.json. ``running``: claim.json and no status. ``missing``: none of these files.
    """
    if not (folder / "status.json").exists():
        if (folder / "claim.json").exists():
            return RunState("running")
        if (folder / "error.json").exists():
            return RunState("failed", _error(folder))
        return RunState("missing")

    try:
        status = read_record(folder, "status.json", Status)
        if status.state != "done":
            return RunState("failed", _error(folder) or f"status.json has state {status.state!r}")
        read_record(folder, "params.json", Params)
        read_record(folder, "metrics.json", Metrics)
        read_record(folder, "environment.json", Environment)
        if not (folder / PREDICTIONS).is_file():
            raise RunFileError(f"{folder.name}/{PREDICTIONS}: not found")
    except RunFileError as error:
        return RunState("corrupt", str(error))
    return RunState("done")


def read_record(folder: Path, name: str, schema: type[File]) -> File:
    """Read and check one file of a run.

    Raises:
        RunFileError: the file is missing, is not JSON, or lacks a field; the message names the run, file and field.
    """
    try:
        return schema.model_validate_json((folder / name).read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise RunFileError(f"{folder.name}/{name}: {where + ': ' if where else ''}{first['msg']}") from None
    except OSError as error:
        raise RunFileError(f"{folder.name}/{name}: {error.strerror or error}") from error


def error_type(folder: Path) -> str:
    """Return the type of the error that a run failed with; empty if there is none or it cannot be read."""
    try:
        return read_record(folder, "error.json", Error).type
    except RunFileError:
        return ""


def _error(folder: Path) -> str:
    """Return error.json in one line, or why it cannot be read; empty if it does not exist."""
    if not (folder / "error.json").exists():
        return ""
    try:
        error = read_record(folder, "error.json", Error)
    except RunFileError as unreadable:
        return str(unreadable)
    where = "" if error.cell is None else f" (cell {error.cell})"
    return f"{error.type}: {error.message}{where}"
