"""Carries out the runs of one study or of several: all checks first, then each recipe once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from xtc_study.model_check import check_models
from xtc_study.places import Compute, Places, project_folder
from xtc_study.recipe import Recipe
from xtc_study.runs.executors import run_recipes
from xtc_study.runs.outcomes import Outcome
from xtc_study.studies import StudyError
from xtc_study.tasks.augmentation.synonyms import check_synonyms


@dataclass(frozen=True)
class RunFilter:
    """Which of a study's planned runs to carry out; by default those that are not done."""

    only_failed: bool = False
    """Only runs that failed before."""
    limit: int | None = None
    """Maximum number of runs per study."""
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
    redo: bool = False,
) -> Iterator[Outcome]:
    """Carry out each recipe and yield each outcome as it comes (see ``runs.executors``).

    Args:
        recipes: of the runs.
        places: their data, models and results folder.
        compute: device and precision.
        workers: processes on this machine; None: one per GPU, or one per core without one.
        executor: any concurrent.futures.Executor, in place of processes.
        timeout: seconds a notebook cell may take; a run with a slower cell fails.
        redo: whether to rerun done runs too. A run stays done until its own turn comes.

    Raises:
        ModelError: a model that does not exist.
        StudyError: a model found neither on this machine nor on the hub, or no ``run.ipynb``.
        DataError: a recipe that augments with synonyms, without a synonym table.
    """
    # Every check comes before the first run starts.
    recipes = interleave(recipes)
    doubts = check_models(recipes, places.models_dir)
    if doubts and executor is None:  # workers on other machines may have the model
        raise StudyError(doubts[0])
    for recipe in recipes:
        check_synonyms(recipe, places.synonyms)
    notebook = project_folder() / "notebooks" / "run.ipynb"
    if recipes and not notebook.is_file():
        raise StudyError(f"{notebook}: not found; start from inside the project's folder")

    parameters = {**places.parameters(), **compute.parameters()}
    return run_recipes(recipes, places.results, notebook, parameters, workers, executor, timeout, redo)


def interleave(recipes: Sequence[Recipe]) -> list[Recipe]:
    """Alternate tasks and seeds, so that workers begin with different teachers instead of waiting for one."""
    groups: dict[tuple[str, int], list[Recipe]] = {}
    for recipe in recipes:
        groups.setdefault((recipe.task, recipe.seed), []).append(recipe)
    return [recipe for turn in itertools.zip_longest(*groups.values()) for recipe in turn if recipe is not None]
