"""Finds and removes trained steps that no run needs any more. Imports no torch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from xtc_study.chain import chain
from xtc_study.recipe import Recipe, RecipeError
from xtc_study.runs.records import state_of
from xtc_study.runs.step_store import StepStore

PHASES = ("teacher", "reduce", "quantise", "distil", "vectors", "static")


class Surplus(NamedTuple):
    """Folders of steps that can be removed."""

    unused: list[Path]
    """No planned run and no run in the folder uses them."""
    finished: list[Path]
    """Only done runs use them. Their files and scores remain; a new run that shares a step trains it again."""


def surplus_steps(results: Path, planned: Sequence[Recipe], synonyms: str | None = None) -> Surplus:
    """Find the finished steps that no unfinished run needs, whether planned or in the results folder.

    Args:
        results: the results folder.
        planned: recipes whose runs may have no folder yet.
        synonyms: the hash of the synonym table in use. The tables that finished steps were trained with count as in
            use too, since a run does not record its table.
    """
    store = StepStore(results / "steps")
    records = store.records()
    tables = {None, synonyms, *_synonym_tables(records.values())}
    to_do: set[str] = set()
    finished: set[str] = set()
    recipes = {recipe.run_id: recipe for recipe in planned}

    # Runs in the folder: the steps that done runs used, and recipes that are no longer planned.
    for folder in sorted((results / "runs").glob("*")):
        is_done = state_of(folder).state == "done"
        steps = _recorded(folder / "metrics.json").get("steps")
        if is_done and isinstance(steps, list):
            finished |= {str(address) for address in steps}
        try:
            recipe = Recipe.of(**_recorded(folder / "params.json")["recipe"])
        except (RecipeError, KeyError, TypeError):
            if (folder / "claim.json").exists():  # a process may be working on it, and what it needs is unknown
                return Surplus([], [])
            continue
        recipes.setdefault(folder.name, recipe)

    # Steps of every recipe, under each synonym table that may be in use.
    for run_id, recipe in recipes.items():
        used = finished if state_of(results / "runs" / run_id).state == "done" else to_do
        used |= {step.address for table in tables for step in chain(recipe, table)}

    idle = [address for address, record in records.items() if record.get("phase") in PHASES and address not in to_do]
    return Surplus(
        [store.folder(address) for address in idle if address not in finished],
        [store.folder(address) for address in idle if address in finished],
    )


def remove_steps(folders: Sequence[Path]) -> list[Path]:
    """Remove steps, except those that a process is making or waiting for; return the removed folders.

    step.json is removed first, so that a reader sees an unfinished step and never half of one.
    """
    removed = []
    for folder in folders:
        try:
            with FileLock(folder.with_name(f"{folder.name}.lock"), timeout=0):
                (folder / "step.json").unlink(missing_ok=True)
                shutil.rmtree(folder, ignore_errors=True)
                removed.append(folder)
        except Timeout:
            continue
    return removed


def bytes_of(folders: Sequence[Path]) -> int:
    """Return the bytes of all files in the folders."""
    return sum(file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file())


def _synonym_tables(records: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the hashes of the synonym tables that these steps were trained with."""
    params = [record.get("params") for record in records]
    tables = [of.get("synonyms") for of in params if isinstance(of, dict)]
    return {table for table in tables if isinstance(table, str)}


def _recorded(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
