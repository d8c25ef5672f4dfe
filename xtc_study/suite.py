"""Several studies of one profile at once: what they share is carried out, and counted, once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

from xtc_study.places import project_folder
from xtc_study.recipe import Recipe
from xtc_study.studies import StudyError
from xtc_study.study import Ablation
from xtc_study.tasks.augmentation.synonyms import check_synonyms, table_hash

if TYPE_CHECKING:
    from xtc_study.runs.cost import Cost


def run_together(
    ablations: Sequence[Ablation],
    workers: int | None = None,
    executor: Executor | None = None,
    only_failed: bool = False,
    limit: int | None = None,
    force: bool = False,
    timeout: float | None = None,
    arms: Sequence[str] | None = None,
) -> Iterator[dict[str, Any]]:
    """Carries out the runs of several studies of one profile, each once, and yields each outcome as it comes.

    Args:
        ablations: with the same results folder, places, device and precision.
        limit: of each study. The rest as for ``Ablation.run``.

    Raises:
        ModelError, StudyError: a model that is not there.
        DataError: arms that augment with synonyms, and no table of them.
    """
    from xtc_study.runs.executors import run_recipes
    from xtc_study.runs.store import RunFolder

    first = ablations[0]
    to_do = [run for one in ablations for run in one.to_do(only_failed, limit, force, arms)]
    recipes = in_turns(list({run.run_id: run.recipe for run in to_do}.values()))
    doubts = first.check_models(recipes)
    if doubts and executor is None:  # workers elsewhere may have what is not here
        raise StudyError(doubts[0])
    for recipe in recipes:
        check_synonyms(recipe, first.synonyms)
    if force:
        for recipe in recipes:
            RunFolder(first.runs_folder, recipe).reopen()
    notebook = project_folder() / "notebooks" / "run.ipynb"
    if recipes and not notebook.is_file():
        raise StudyError(f"{notebook}: not found; run this inside the project's folder")
    parameters = {
        "data_dir": str(first.data_dir or ""),
        "models_dir": str(first.models_dir or ""),
        "synonyms": str(first.synonyms or ""),
        "task_files": [str(file) for file in first.task_files],
        "device": first.device,
        "precision": first.precision,
    }
    return run_recipes(recipes, first.results, notebook, parameters, workers, executor, timeout)


def cost_of(ablations: Sequence[Ablation]) -> Cost:
    """Steps and training seconds of several studies of one profile, each alone and all shared."""
    from xtc_study.runs.cost import cost
    from xtc_study.runs.step_store import StepStore
    from xtc_study.runs.step_times import read_step_times

    first = ablations[0]
    recipes = {run.run_id: run.recipe for one in ablations for run in one.planned}
    store = StepStore(first.results / "steps")
    models = {recipe.model for recipe in recipes.values()}
    measured = {model: read_step_times(first.results, model) for model in models}
    times = {model: found for model, found in measured.items() if found is not None}
    synonyms = table_hash(first.synonyms)
    return cost(list(recipes.values()), store, times, synonyms, first.task_files, first.device)


def in_turns(recipes: Sequence[Recipe]) -> list[Recipe]:
    """Tasks and seeds by turns, so that workers begin with different teachers instead of waiting for one."""
    groups: dict[tuple[str, int], list[Recipe]] = {}
    for recipe in recipes:
        groups.setdefault((recipe.task, recipe.seed), []).append(recipe)
    return [recipe for turn in itertools.zip_longest(*groups.values()) for recipe in turn if recipe is not None]
