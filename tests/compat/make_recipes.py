"""Write recipes with their run ids and step addresses, and what the studies plan, as 0e5d90d computes them.

Later, generated tasks got their own version (``recipe.GENERATED_VERSION``), which is part of their run ids. These ids
come from a second pass with the commit ``GENERATED_BY``. Step addresses did not change.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from hand_recipes import HAND

MADE_BY, GENERATED_BY = "0e5d90d", "3fbc00f"
SAMPLED = 400
"""Minimum number of sampled recipes, evenly spaced among all that are planned for two seeds."""
Entry = dict[str, Any]


def make_recipes(package: Path, out: Path) -> None:
    """Write ``specs/``, ``recipes.json`` and ``plans.json``, with run ids of generated tasks of 0e5d90d.

    Args:
        package: the folder of ``xtc_study`` in its checkout.
    """
    for kind in ("studies", "profiles"):
        shutil.copytree(
            package / kind, out / "specs" / kind, ignore=lambda _, names: [n for n in names if n[-4:] != ".yml"]
        )
    planned = {recipe.run_id: recipe for _, _, runs in plans(out, seeds=[0, 1]) for _, recipe in runs}
    recipes, spacing = list(planned.values()), max(len(planned) // SAMPLED, 1)
    entries = [entry({}, recipe.scientific()) for recipe in recipes[::spacing]]
    entries += [entry(extra, fields) for extra, fields in HAND]
    write_lines(out / "recipes.json", entries)
    write_plans(out)


def remake_generated_ids(out: Path) -> None:
    """Replace the run ids of generated tasks in ``recipes.json`` and ``plans.json`` with those of this commit.

    Raises:
        ValueError: anything else differs from what 0e5d90d wrote.
    """
    entries = json.loads((out / "recipes.json").read_text())
    for one in entries:
        now = entry({key: one[key] for key in ("synonyms",) if key in one}, one["fields"])
        if now.get("canonical") != one.get("canonical") or now["addresses"] != one["addresses"]:
            raise ValueError(f"another recipe or other steps than {MADE_BY} gave: {one['fields']}")
        if one["fields"]["task"].startswith("toy-"):
            one |= {"run_id": now["run_id"], "made_by": GENERATED_BY}
        elif one["run_id"] != now["run_id"]:
            raise ValueError(f"another run id than {MADE_BY} gave: {one['fields']}")
    write_lines(out / "recipes.json", entries)
    before = json.loads((out / "plans.json").read_text())
    now_planned = write_plans(out)
    for name, one in before.items():
        if not name.startswith("smoke ") and now_planned[name] != one:
            raise ValueError(f"{name}: another plan than {MADE_BY} gave")


def entry(extra: dict[str, Any], fields: dict[str, Any]) -> Entry:
    """Return the entry of one recipe, with its canonical fields if they differ from the given ones.

    Args:
        extra: ``synonyms``, the hash of a synonym table, where its steps depend on one.
    """
    from xtc_study.training.steps import chain

    from xtc_study.recipe import Recipe

    recipe = Recipe.of(**fields)
    addresses = [step.address for step in chain(recipe, extra.get("synonyms"))]
    canonical = {} if recipe.scientific() == fields else {"canonical": recipe.scientific()}
    return {
        "fields": fields,
        **canonical,
        "run_id": recipe.run_id,
        "addresses": addresses,
        "made_by": MADE_BY,
        **extra,
    }


def write_lines(path: Path, entries: list[Entry]) -> None:
    """Write one recipe per line."""
    lines = ",\n".join(json.dumps(one, separators=(",", ":")) for one in entries)
    path.write_text(f"[\n{lines}\n]\n")


def plans(out: Path, seeds: list[int] | None = None) -> Iterator[tuple[str, str, list[tuple[str, Any]]]]:
    """Yield profile, study and runs (arm and recipe) of the YAML files in ``specs``."""
    from xtc_study.profiles import Profile
    from xtc_study.studies import Study, plan

    for profile_file in sorted((out / "specs" / "profiles").glob("*.yml")):
        profile = Profile(**{**yaml.safe_load(profile_file.read_text("utf-8")), "name": profile_file.stem})
        for study_file in sorted((out / "specs" / "studies").glob("*.yml")):
            study = Study(name=study_file.stem, **yaml.safe_load(study_file.read_text("utf-8")))
            yield profile.name, study.name, [(run.arm, run.recipe) for run in plan(study, profile, seeds=seeds)]


def write_plans(out: Path) -> dict[str, Any]:
    """Write ``plans.json``: for each profile and study the number of runs, and a hash of arms, ids and addresses."""
    from xtc_study.training.steps import chain

    found = {}
    for profile, study, runs in plans(out):
        lines = [f"{arm}\t{one.run_id}\t{' '.join(step.address for step in chain(one))}\n" for arm, one in runs]
        digest = hashlib.sha256("".join(lines).encode()).hexdigest()
        made_by = GENERATED_BY if profile == "smoke" else MADE_BY
        found[f"{profile} {study}"] = {"runs": len(runs), "sha256": digest, "made_by": made_by}
    (out / "plans.json").write_text(json.dumps(found, indent=0) + "\n")
    return found
