"""Profiles: the scale at which a study runs.

smoke: built-in data, minutes. mini: a small pre-trained encoder, five GLUE tasks. paper: BERT-base, eight GLUE tasks.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from xtc_study.nearest import did_you_mean
from xtc_study.recipe import Recipe
from xtc_study.tuning import Tuned
from xtc_study.yaml_models import load_yaml_model, names_in


class ProfileError(ValueError):
    """A profile that does not exist or is malformed."""


class Profile(BaseModel):
    """Model, tasks and seeds of a scale, and the epochs of each training budget."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str
    recipe: dict[str, Any]
    """Recipe fields shared by every run of the profile."""
    tasks: Annotated[list[str], Field(min_length=1)]
    seeds: Annotated[list[int], Field(min_length=1)]
    budgets: dict[str, dict[str, float]]
    """Maps a budget (A, B, C) to epochs by task, with a 'default'."""
    budget: str
    """The budget of studies that do not vary it."""
    per_task: dict[str, dict[str, Any]] = {}
    """Recipe fields that differ for one task."""
    tune: Tuned = None
    """What every study tunes at this scale, unless it says otherwise (``tuning``)."""
    notes: list[str] = []
    """Where its values come from, and how certain they are."""

    def epochs(self, task: str, budget: str | None = None) -> float:
        """Return the training length of a student on a task, in epochs.

        Raises:
            ProfileError: an unknown budget.
        """
        name = budget or self.budget
        if not isinstance(name, str) or name not in self.budgets:
            near = did_you_mean(name, self.budgets)
            raise ProfileError(f"budget={name!r}: profile {self.name} has {', '.join(self.budgets)}{near}")
        table = self.budgets[name]
        return table.get(task, table["default"])

    def fields(self, task: str, seed: int, budget: str | None = None) -> dict[str, Any]:
        """Return the recipe fields of one task and seed, before a study sets its own.

        Epochs under ``per_task`` hold for the profile's budget; another budget sets both phases from its own table.
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
    """Load a profile by name.

    Raises:
        ProfileError: no such profile, or a malformed one; the message names the field.
    """
    profile = load_yaml_model("profile", "profiles", name, Profile, ProfileError)
    for budget, table in profile.budgets.items():
        if "default" not in table:
            raise ProfileError(f"profile {name}: budgets.{budget}: 'default' is missing")
    for task in profile.tasks:
        Recipe.of(**profile.fields(task, profile.seeds[0]))
    return profile
