"""The scope of a report's runs: tasks, seeds, encoders and epochs, as the line below its title."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xtc_study.chain import chain
from xtc_study.recipe import Recipe
from xtc_study.studies import PlannedRun


@dataclass(frozen=True)
class Scope:
    """Every distinct value among the planned runs: text in the order planned, numbers sorted."""

    tasks: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    models: tuple[str, ...] = ()
    epochs: tuple[float, ...] = ()
    """Epochs that students are trained (``student_epochs``)."""

    @property
    def text(self) -> str:
        """``Tasks: cola, stsb. Seeds: 0, 1. Encoder: x. Epochs of a student: 3, 6.``"""
        return " ".join(
            f"{name}: {', '.join(values)}."
            for name, values in (
                ("Tasks", self.tasks),
                ("Seeds", [str(seed) for seed in self.seeds]),
                ("Encoder", self.models),
                ("Epochs of a student", [f"{number:g}" for number in self.epochs]),
            )
            if values
        )

    @property
    def short(self) -> str:
        """The tasks for a heading: all of them if fewer than five, else their number."""
        return ", ".join(self.tasks) if len(self.tasks) < 5 else f"{len(self.tasks)} tasks"


def student_epochs(recipe: Recipe) -> float:
    """Return the epochs from the fine-tuned teacher to the student: reduction, if any, and low-bit training."""
    return sum({step.phase: step.epochs for step in chain(recipe)[1:]}.values())


def scope_of(planned: Sequence[PlannedRun]) -> Scope:
    """Return the scope of these runs."""
    recipes = [run.recipe for run in planned]
    return Scope(
        tasks=tuple(dict.fromkeys(recipe.task for recipe in recipes)),
        seeds=tuple(sorted({recipe.seed for recipe in recipes})),
        models=tuple(dict.fromkeys(recipe.model for recipe in recipes)),
        epochs=tuple(sorted({student_epochs(recipe) for recipe in recipes})),
    )


def scope_together(scopes: Sequence[Scope]) -> Scope:
    """Return the union of the scopes of several studies."""
    return Scope(
        tasks=tuple(dict.fromkeys(task for scope in scopes for task in scope.tasks)),
        seeds=tuple(sorted({seed for scope in scopes for seed in scope.seeds})),
        models=tuple(dict.fromkeys(model for scope in scopes for model in scope.models)),
        epochs=tuple(sorted({number for scope in scopes for number in scope.epochs})),
    )
