"""Recipes keep their run ids and the addresses of their steps; YAML files of studies keep their meaning."""

from __future__ import annotations

import hashlib

import pytest
from compat.today import Profile, Recipe, StudySpec, chain, fixture, plan, specs


def test_recipe_keeps_its_run_id_and_step_addresses() -> None:
    entries = fixture("recipes.json")
    assert len(entries) > 450
    wrong = []
    for then in entries:
        recipe = Recipe.of(**then["fields"])
        steps = [step.address for step in chain(recipe, then.get("synonyms"))]
        now = (recipe.scientific(), recipe.run_id, steps)
        if now != (then.get("canonical", then["fields"]), then["run_id"], then["addresses"]):
            wrong.append((now, then))
    assert not wrong, f"{len(wrong)} of {len(entries)} recipes have another identity; the first: {wrong[0]}"


def test_pinned_recipes_vary_every_field() -> None:
    default = Recipe(task="any").model_dump(mode="json")
    canonical = [then.get("canonical", then["fields"]) for then in fixture("recipes.json")]
    varied = {field for fields in canonical for field, value in fields.items() if value != default[field]}
    assert varied == set(fixture("names.json")["files"]["recipe"])


@pytest.mark.parametrize("name", ["mini", "paper", "smoke"])
def test_yaml_files_of_0e5d90d_plan_the_same_runs(name: str) -> None:
    profile = Profile(**{**specs("profiles")[name], "name": name})
    pinned = fixture("plans.json")
    studies = specs("studies")
    assert len(studies) == 13
    for study_name, content in studies.items():
        runs = plan(StudySpec(name=study_name, **content), profile)
        lines = []
        for run in runs:
            addresses = " ".join(step.address for step in chain(run.recipe))
            lines.append(f"{run.arm}\t{run.recipe.run_id}\t{addresses}\n")
        now = (len(runs), hashlib.sha256("".join(lines).encode()).hexdigest())
        then = pinned[f"{name} {study_name}"]
        assert now == (then["runs"], then["sha256"]), f"{study_name} at {name} plans other runs"
