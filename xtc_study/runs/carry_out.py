"""Carries out the runs of one study or of several: every check first, then each recipe once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from xtc_study.model_check import check_models
from xtc_study.places import Compute, Places, project_folder
from xtc_study.recipe import Recipe
from xtc_study.runs.executors import Outcome, run_recipes
from xtc_study.runs.store import RunFolder
from xtc_study.studies import StudyError
from xtc_study.tasks.augmentation.synonyms import check_synonyms


@dataclass(frozen=True)
class RunFilter:
    """Which of a study's planned runs are carried out: by default those that are not done."""

    only_failed: bool = False
    """Leave out what was never tried."""
    limit: int | None = None
    """At most this many runs of each study."""
    force: bool = False
    """Also runs that are done."""
    arms: Sequence[str] | None = None
    """Only these arms, by name; None: all."""


def carry_out(
    recipes: Sequence[Recipe],
    places: Places,
    compute: Compute,
    workers: int | None = None,
    executor: Executor | None = None,
    timeout: float | None = None,
    reopen: bool = False,
) -> Iterator[Outcome]:
    """Carries out each recipe and yields each outcome as it comes (see ``runs.executors``).

    Args:
        workers: processes on this machine; None: one a core.
        executor: any concurrent.futures.Executor, in place of processes.
        timeout: seconds a notebook cell may take; a run that takes longer has failed.
        reopen: also recipes whose runs are done.

    Raises:
        ModelError: a model that does not exist.
        StudyError: a model that can be found neither here nor on the hub, or no ``run.ipynb``.
        DataError: a recipe that augments with synonyms, and no table of them.
    """
    recipes = interleave(recipes)
    doubts = check_models(recipes, places.models_dir)
    if doubts and executor is None:  # workers on other machines may have what is not here
        raise StudyError(doubts[0])
    for recipe in recipes:
        check_synonyms(recipe, places.synonyms)
    notebook = project_folder() / "notebooks" / "run.ipynb"
    if recipes and not notebook.is_file():
        raise StudyError(f"{notebook}: not found; run this inside the project's folder")

    if reopen:
        for recipe in recipes:
            RunFolder(places.runs, recipe).reopen()
    parameters = {**places.parameters(), **compute.parameters()}
    return run_recipes(recipes, places.results, notebook, parameters, workers, executor, timeout)


def interleave(recipes: Sequence[Recipe]) -> list[Recipe]:
    """Tasks and seeds by turns, so that workers begin with different teachers instead of waiting for one."""
    groups: dict[tuple[str, int], list[Recipe]] = {}
    for recipe in recipes:
        groups.setdefault((recipe.task, recipe.seed), []).append(recipe)
    return [recipe for turn in itertools.zip_longest(*groups.values()) for recipe in turn if recipe is not None]
