"""Profiles: at what scale a study runs.

smoke: built-in data, minutes. mini: a small pre-trained encoder, five GLUE tasks. paper: BERT-base, eight.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from xtc_study.nearest import did_you_mean
from xtc_study.recipe import Recipe
from xtc_study.yaml_models import load_yaml_model, names_in


class ProfileError(ValueError):
    """A profile that does not exist or is not well formed."""


class Profile(BaseModel):
    """Model, tasks, seeds and the meaning of each training budget."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str
    recipe: dict[str, Any]
    """Recipe fields that every run of the profile shares."""
    tasks: Annotated[list[str], Field(min_length=1)]
    seeds: Annotated[list[int], Field(min_length=1)]
    budgets: dict[str, dict[str, float]]
    """Budget name (A, B, C) to epochs, by task, with a 'default'."""
    budget: str
    """The budget a study uses unless its axis is the budget."""
    per_task: dict[str, dict[str, Any]] = {}
    """Recipe fields that differ for one task."""
    notes: list[str] = []
    """Where its values come from, and how sure they are."""

    def epochs(self, task: str, budget: str | None = None) -> float:
        """Training length of a student on a task.

        Raises:
            ProfileError: unknown budget.
        """
        name = budget or self.budget
        if not isinstance(name, str) or name not in self.budgets:
            near = did_you_mean(name, self.budgets)
            raise ProfileError(f"budget={name!r}: profile {self.name} has {', '.join(self.budgets)}{near}")
        table = self.budgets[name]
        return table.get(task, table["default"])

    def fields(self, task: str, seed: int, budget: str | None = None) -> dict[str, Any]:
        """The recipe fields of one task and seed, before a study sets its own.

        A task's own lengths (``per_task``) belong to the profile's budget; another one sets both phases by its table.
        """
        epochs = self.epochs(task, budget)
        own = self.per_task.get(task, {})
        if budget not in (None, self.budget):
            own = {field: value for field, value in own.items() if field not in ("epochs", "reduce_epochs")}
        return {
            **self.recipe,
            "epochs": epochs,
            "reduce_epochs": epochs,
            **own,
            "task": task,
            "seed": seed,
        }


@cache
def profile_names() -> tuple[str, ...]:
    return names_in("profiles")


@cache
def load_profile(name: str) -> Profile:
    """A profile by name.

    Raises:
        ProfileError: no such profile, or one that is not well formed; the message names the field.
    """
    profile = load_yaml_model("profile", "profiles", name, Profile, ProfileError)
    for budget, table in profile.budgets.items():
        if "default" not in table:
            raise ProfileError(f"profile {name}: budgets.{budget}: 'default' is missing")
    for task in profile.tasks:
        Recipe.of(**profile.fields(task, profile.seeds[0]))
    return profile
