from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import yaml
from papermill.cli import _resolve_type

from xtc_study.commands import papermill_command
from xtc_study.profiles import load_profile
from xtc_study.recipe import Recipe
from xtc_study.runs.parameters import read_parameters
from xtc_study.studies import load_study, plan, study_names

DEFAULTS = read_parameters(Path(__file__).parents[1] / "notebooks" / "run.ipynb")


def as_papermill_reads(command: str) -> dict[str, object]:
    words = shlex.split(command)
    assert words[:2] == ["papermill", "notebooks/run.ipynb"] and words[2].endswith(".ipynb")
    values, rest = dict(DEFAULTS), words[3:]
    while rest:
        option = rest.pop(0)
        if option == "-y":
            values |= yaml.safe_load(rest.pop(0))
        else:
            name, value = rest.pop(0), rest.pop(0)
            values[name] = value if option == "-r" else _resolve_type(value)
    return values


@pytest.mark.parametrize("profile", ["smoke", "mini", "paper"])
def test_the_command_of_every_planned_run_is_that_run(profile: str) -> None:
    for study in study_names():
        for run in plan(load_study(study), load_profile(profile), seeds=[1]):
            command = papermill_command(run.recipe, DEFAULTS, profile)
            values = as_papermill_reads(command)
            assert Recipe.from_names(values).run_id == run.run_id, command
            assert values["results_dir"] == ("" if profile == "smoke" else f"results/{profile}")


@pytest.mark.parametrize(
    "fields", [{"layers": (1, 3)}, {"model": "007"}, {"model": "a b'c"}, {"learning_rate": 1e-5}, {"layers": None}]
)
def test_values_that_a_shell_or_papermill_could_change(fields: dict[str, object]) -> None:
    recipe = Recipe(task="toy-pairs", **fields)  # type: ignore[arg-type]
    assert Recipe.from_names(as_papermill_reads(papermill_command(recipe, DEFAULTS, "smoke"))) == recipe
