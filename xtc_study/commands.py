"""The exact command that repeats a run by itself."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from xtc_study.recipe import Recipe
from xtc_study.tasks.user.dataset import PREFIX


def papermill_command(
    recipe: Recipe, defaults: Mapping[str, Any], profile: str, task_files: Sequence[str] = ()
) -> str:
    """The papermill call that carries out this recipe and no other: every field that run.ipynb's defaults do not have.

    Args:
        defaults: run.ipynb's parameters (``runs.parameters.read_parameters``).
        profile: whose results folder it goes to, ``results/<profile>``.
        task_files: descriptions of data sets of your own, as they were chosen.
    """
    words = ["papermill", "notebooks/run.ipynb", f"{recipe.run_id}.ipynb"]
    for name, value in recipe.model_dump(mode="json").items():
        if name in defaults and defaults[name] == value and type(defaults[name]) is type(value):
            continue
        if isinstance(value, str):
            words += ["-r", name, value]  # raw: a name that looks like a number stays text
        elif isinstance(value, list):
            words += ["-y", json.dumps({name: value})]
        else:
            words += ["-p", name, str(value)]
    if profile != "smoke":
        words += ["-r", "results_dir", f"results/{profile}"]
    if recipe.task.startswith(PREFIX):
        words += ["-y", json.dumps({"task_files": list(task_files)})]
    return shlex.join(words)
