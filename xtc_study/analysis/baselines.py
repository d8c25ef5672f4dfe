"""What stands beside the arms of every study: the simplest things that work on the same tasks, and published models.

They are no arms of the comparison and have no difference, interval or p-value. A baseline that lacks one of the
study's tasks is left out, since its mean would be over other tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from io import StringIO
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd
from pydantic import BaseModel

from xtc_study.analysis.chance import chance_by_task
from xtc_study.analysis.collect import setting_of
from xtc_study.analysis.teachers import teachers_score, teachers_size
from xtc_study.recipe import Recipe, RecipeError
from xtc_study.runs.records import Latency, Metrics, RunFileError, read_record, state_of
from xtc_study.runs.store import LATENCY

SHOWN_WIDTH, SHOWN_BITS = 128, 1
"""The static table that is always shown: half a megabyte with a vocabulary of 30,522 tokens."""


@dataclass(frozen=True)
class Baseline:
    """A score to hold the arms against, in the metric's scale, and what it costs."""

    kind: Literal["majority", "static table", "teacher", "published"]
    name: str
    score: float
    """Mean of the primary metric over the study's tasks and splits."""
    size_bytes: float
    """NaN: there is no file."""
    note: str = ""
    """What a reader must know to compare it."""
    latency_ms: float = float("nan")
    latency_of: str = ""
    """The setting that the time was measured in; empty if it was not."""


class _Params(BaseModel):
    """params.json, as far as the baselines need it."""

    recipe: dict[str, Any]


class _Table(NamedTuple):
    """What tells one static table from another, whatever its task."""

    width: int
    bits: int
    rest: str
    vocabulary: str


class _Run(NamedTuple):
    """A done run of a static table."""

    run_id: str
    recipe: Recipe
    metrics: Metrics
    latency: Latency | None


def baselines(runs_folder: Path, frame: pd.DataFrame) -> list[Baseline]:
    """Return what is at hand for the tasks of a study: one answer, static tables, published models, the teacher.

    Published models larger than the teacher are left out.

    Args:
        runs_folder: contains the run folders, of this study and of others.
        frame: rows of ``analysis.collect.collect`` of one study. Without rows, or with runs of several encoders, there
            are no baselines.
    """
    primary = frame[frame["is_primary"]]
    models = primary["model"].unique()
    if len(models) != 1:
        return []
    wanted = {(str(task), str(split)): str(metric) for task, split, metric in _tasks(primary)}
    found = [*_majority(runs_folder, frame, wanted), *_static(runs_folder, primary, str(models[0]), wanted)]
    largest = float(primary["teacher_size_bytes"].max())
    return [*found, *(one for one in _published(wanted) if one.size_bytes <= largest), *_teacher(primary)]


def _tasks(primary: pd.DataFrame) -> list[list[Any]]:
    rows: list[list[Any]] = primary[["task", "split", "metric"]].drop_duplicates().to_numpy().tolist()
    return rows


def _majority(runs_folder: Path, frame: pd.DataFrame, wanted: Mapping[tuple[str, str], str]) -> list[Baseline]:
    levels = chance_by_task(runs_folder, frame)
    if set(levels) != set(wanted):
        return []
    note = "the best answer that is the same for every row; a correlation is 0"
    return [Baseline("majority", "one answer", _mean([levels[key] for key in wanted]), float("nan"), note)]


def _teacher(primary: pd.DataFrame) -> list[Baseline]:
    score = teachers_score(primary)
    if primary["teacher_layers"].nunique() != 1 or pd.isna(score):
        return []
    return [Baseline("teacher", "fp32 teacher", score, teachers_size(primary), "the encoder, fine-tuned on the task")]


def _static(
    runs_folder: Path, primary: pd.DataFrame, model: str, wanted: Mapping[tuple[str, str], str]
) -> list[Baseline]:
    """Return the table of the usual width and bits, and the one with the best score if that is another."""
    own = set(primary["run_id"])
    runs = [run for run in _static_runs(runs_folder) if run.recipe.model == model and run.run_id not in own]
    by_table: dict[_Table, list[_Run]] = {}
    for run in runs:
        one = run.recipe
        table = _Table(one.static or 0, one.embedding_bits_used, one.rest, one.vocabulary)
        by_table.setdefault(table, []).append(run)
    scored = {table: score for table, of in by_table.items() if (score := _of_table(table, of, wanted)) is not None}
    usual = [table for table in scored if (table.width, table.bits) == (SHOWN_WIDTH, SHOWN_BITS)]
    usual = sorted(usual, key=lambda table: scored[table].size_bytes)[:1]
    best = sorted(scored, key=lambda table: (-scored[table].score, scored[table].size_bytes))[:1]
    return [scored[table] for table in dict.fromkeys([*usual, *best])]


def _of_table(table: _Table, runs: Sequence[_Run], wanted: Mapping[tuple[str, str], str]) -> Baseline | None:
    """Return a table's mean over the tasks; None if a task is missing, or was run with two lengths of texts."""
    scores: dict[tuple[str, str], float] = {}
    used: list[_Run] = []
    for run in runs:
        task = run.recipe.task
        rows = {
            (task, row.split): row.value for row in run.metrics.rows if wanted.get((task, row.split)) == row.metric
        }
        if set(rows) & set(scores):
            return None
        scores |= rows
        used += [run] if rows else []
    if set(scores) != set(wanted):
        return None
    timed = [run.latency for run in used if run.latency is not None]
    settings = {setting_of(one) for one in timed}
    same = len(timed) == len(used) and len(settings) == 1
    bits = f"{table.bits} bit{'s' * (table.bits > 1)}"
    return Baseline(
        "static table",
        f"{table.width} dimensions, {bits}",
        _mean(list(scores.values())),
        _mean([float(run.metrics.size_bytes) for run in used]),
        "token vectors of the same encoder, no transformer; 22_static",
        _mean([one.ms for one in timed]) if same else float("nan"),
        settings.pop() if same else "",
    )


def _static_runs(runs_folder: Path) -> list[_Run]:
    """Return the done runs of static tables; their names say that they are, so that no other file is read."""
    found = []
    for folder in sorted(runs_folder.glob("*-static*-w*")):
        if state_of(folder).state != "done":
            continue
        try:
            recipe = Recipe.of(**read_record(folder, "params.json", _Params).recipe)
            if recipe.static is None or recipe.run_id != folder.name:
                continue
            latency = read_record(folder, LATENCY, Latency) if (folder / LATENCY).is_file() else None
            found.append(_Run(folder.name, recipe, read_record(folder, "metrics.json", Metrics), latency))
        except (RunFileError, RecipeError):
            continue
    return found


def _published(wanted: Mapping[tuple[str, str], str]) -> list[Baseline]:
    """Return the published small models that have every task, split and metric."""
    found = []
    for model, rows in small_models().groupby("model", sort=False):
        known = dict(zip(zip(rows["task"], rows["split"], rows["metric"], strict=True), rows["value"], strict=True))
        places = [(task, split, metric) for (task, split), metric in wanted.items()]
        if set(places) <= set(known):
            first = rows.iloc[0]
            note = f"{first['note']} ({first['status']}: {first['source']})"
            size = float(first["size_bytes"])
            mean = _mean([float(known[place]) / 100 for place in places])
            found.append(Baseline("published", str(model), mean, size, note))
    return found


@cache
def small_models() -> pd.DataFrame:
    """Return the published scores of small models, which need no encoder of ours.

    Columns: model, task, split, metric, value (points), size_bytes (fp32), status (as in ``analysis.published``),
    source, note.
    """
    text = (files("xtc_study") / "published" / "small_models.csv").read_text(encoding="utf-8")
    return pd.read_csv(StringIO(text))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
