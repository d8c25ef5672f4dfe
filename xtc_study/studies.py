"""Studies: an ablation's question, arms and claim, and the runs it asks for at a profile's scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from xtc_study.profiles import Profile
from xtc_study.recipe import Recipe


class StudyError(ValueError):
    """A study that does not exist or is not well formed."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Arm(_Strict):
    """One setting of the axis."""

    name: str
    """What a reader calls it: '1-bit'."""
    set: dict[str, Any] = {}
    """The recipe fields that make it."""
    budget: str | None = None
    """A budget of the profile, where the arm needs another than the profile's own."""


class ClaimSpec(_Strict):
    """What the paper found, as a statement about two arms that the numbers can answer."""

    sentence: str
    kind: Literal["equivalent", "lower", "higher"]
    """How ``arm`` compares with ``reference``."""
    arm: str
    reference: str
    margin: Annotated[float, Field(ge=0)]
    """On the metric's scale, 0 to 1: 0.01 is one point."""
    source: str


class Study(_Strict):
    """One ablation: read from ``studies/<name>.yml``."""

    name: str
    title: str
    question: str
    notebook: str
    fixed: dict[str, Any] = {}
    """Recipe fields that every arm shares."""
    arms: Annotated[list[Arm], Field(min_length=2)]
    reference: str
    """The arm the others are compared with; first row of every table."""
    claims: Annotated[list[ClaimSpec], Field(min_length=1)]
    limits: list[str] = []
    profiles: dict[str, dict[str, Any]] = {}
    """By profile: tasks, seeds, or recipe fields under 'recipe', where the study needs others."""


@dataclass(frozen=True)
class PlannedRun:
    """One run that a study asks for. Several studies may ask for the same run; each gets its rows."""

    study: str
    run_id: str
    """The name of its folder."""
    arm: str
    """What a reader calls it: ``1-bit``. The seeds and tasks of an arm share it."""
    recipe: Recipe


@cache
def study_names() -> tuple[str, ...]:
    folder = files("xtc_study") / "studies"
    return tuple(sorted(item.name.removesuffix(".yml") for item in folder.iterdir() if item.name.endswith(".yml")))


@cache
def load_study(name: str) -> Study:
    """A study by name.

    Raises:
        StudyError: no such study, or one that is not well formed; the message names the field.
    """
    if name not in study_names():
        raise StudyError(f"study={name!r}: expected one of {', '.join(study_names())}")
    text = (files("xtc_study") / "studies" / f"{name}.yml").read_text(encoding="utf-8")
    try:
        study = Study(name=name, **yaml.safe_load(text))
    except ValidationError as error:
        first = error.errors()[0]
        raise StudyError(f"study {name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    arms = [arm.name for arm in study.arms]
    twice = sorted({arm for arm in arms if arms.count(arm) > 1})
    if twice:
        raise StudyError(f"study {name}: more than one arm is called {', '.join(twice)}")
    named = [study.reference, *(claim.arm for claim in study.claims), *(claim.reference for claim in study.claims)]
    for arm in named:
        if arm not in arms:
            raise StudyError(f"study {name}: arm {arm!r} is not one of {', '.join(arms)}")
    return study


def plan(
    study: Study,
    profile: Profile,
    tasks: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> list[PlannedRun]:
    """The runs of a study at a profile's scale: every task, seed and arm, in that order.

    Args:
        overrides: recipe fields set for every run, before the arms set theirs.

    Raises:
        RecipeError, StudyError: a field or value that is not legal, or an override of what the arms vary.
    """
    special = profile_part(study, profile)
    varied = {field for arm in study.arms for field in arm.set}
    if len({arm.budget for arm in study.arms}) > 1:
        varied |= {"epochs", "reduce_epochs"}
    per_run = sorted({"task", "seed"} & set(overrides or {}))
    if per_run:
        raise StudyError(f"{', '.join(per_run)}: differs from run to run; choose tasks and seeds instead")
    clash = sorted(varied & set(overrides or {}))
    if clash:
        raise StudyError(f"{', '.join(clash)}: study {study.name} varies it; it cannot be set for every arm")
    runs = []
    for task in tasks or special.get("tasks") or profile.tasks:
        for seed in special.get("seeds") or profile.seeds if seeds is None else seeds:
            for arm in study.arms:
                fields = profile.fields(task, seed, arm.budget)
                fields |= study.fixed | special.get("recipe", {}) | dict(overrides or {}) | arm.set
                recipe = Recipe.of(**fields)
                runs.append(PlannedRun(study.name, recipe.run_id, arm.name, recipe))
    return runs


def profile_part(study: Study, profile: Profile) -> dict[str, Any]:
    """What the study changes at this profile.

    Raises:
        StudyError: something other than tasks, seeds and recipe.
    """
    special = study.profiles.get(profile.name, {})
    unknown = sorted(set(special) - {"tasks", "seeds", "recipe"})
    if unknown:
        raise StudyError(f"study {study.name}, profile {profile.name}: unknown key {', '.join(unknown)}")
    return special
