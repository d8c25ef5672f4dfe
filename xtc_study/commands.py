"""The shell commands that repeat a study, one of its arms, or a single run."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from xtc_study.places import Compute, Places, results_folder
from xtc_study.recipe import Recipe
from xtc_study.tasks.user.dataset import PREFIX
from xtc_study.tuning import NONE, Tune
from xtc_study.values import points_text, setting_text


def study_command(
    study: str,
    profile: str,
    chosen: Mapping[str, Sequence[object] | None],
    overrides: Mapping[str, Any],
    axes: Mapping[str, Sequence[Any]],
    tune: Tune | None,
    places: Places,
    compute: Compute,
    arm: str | None = None,
) -> str:
    """Write the command that carries out a study as chosen, or one of its arms.

    Placeholders such as GLUE_FOLDER stand for paths, since readers have their own.

    Args:
        study: its name.
        profile: its scale.
        chosen: values by option (task, seed); None where the profile's are used.
        overrides: recipe fields set for every arm.
        axes: the points kept, by axis.
        tune: what was chosen to be tuned; None: what the study says.
        places: paths in use.
        compute: device and precision.
        arm: the arm; None: all of them.
    """
    words = ["xtc-study", "run", study, "--profile", profile]
    for option, values in chosen.items():
        for value in values or ():
            words += [f"--{option}", str(value)]
    for field, value in overrides.items():
        words += ["--set", setting_text(field, value)]
    for axis, points in axes.items():
        words += ["--axis", points_text(axis, points)]
    if tune is not None:
        words += ["--tune", NONE] if not tune.values else []
        for field, tried in (tune.values | tune.settings).items():
            words += ["--tune", points_text(field, [tried] if isinstance(tried, str) else tried)]
    for option, shown, is_given in (
        ("--data-dir", "GLUE_FOLDER", places.data_dir is not None),
        ("--models-dir", "MODELS_FOLDER", places.models_dir is not None),
        ("--synonyms", "SYNONYMS_FILE", places.synonyms is not None),
        ("--results", "RESULTS_FOLDER", places.results != results_folder(profile)),
        ("--device", compute.device, compute.device != "auto"),
        ("--precision", compute.precision, compute.precision != "auto"),
    ):
        words += [option, shown] if is_given else []
    if arm:
        words += ["--arm", arm]
    return shlex.join(words)


def papermill_command(
    recipe: Recipe, defaults: Mapping[str, Any], profile: str, task_files: Sequence[str] = ()
) -> str:
    """Write the papermill command that carries out this recipe alone: it sets each field that differs from run.ipynb.

    Args:
        recipe: what to carry out.
        defaults: run.ipynb's parameters (``runs.parameters.read_parameters``).
        profile: names the results folder, ``results/<profile>``.
        task_files: descriptions of the user's own data sets, as they were given.
    """
    words = ["papermill", "notebooks/run.ipynb", f"{recipe.run_id}.ipynb"]
    for name, value in recipe.model_dump(mode="json").items():
        if name in defaults and defaults[name] == value and type(defaults[name]) is type(value):
            continue
        if isinstance(value, str):
            words += ["-r", name, value]  # raw: a name that looks like a number remains text
        elif isinstance(value, list):
            words += ["-y", json.dumps({name: value})]
        else:
            words += ["-p", name, str(value)]
    if profile != "smoke":
        words += ["-r", "results_dir", f"results/{profile}"]
    if recipe.task.startswith(PREFIX):
        words += ["-y", json.dumps({"task_files": list(task_files)})]
    return shlex.join(words)
