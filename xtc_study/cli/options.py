"""The options that choose studies and their runs, and what they choose. Every command about a study shares them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xtc_study.cli.console import say

if TYPE_CHECKING:
    from xtc_study.study import Ablation

Studies = Annotated[
    list[str], typer.Argument(help="Names of studies, or 'all'; 'plan all' lists all studies and arms.")
]
ReportStudies = Annotated[list[str] | None, typer.Argument(help="Names of studies; by default all.")]
ProfileName = Annotated[str, typer.Option("--profile", metavar="NAME", help="The scale: smoke, mini or paper.")]
Tasks = Annotated[
    list[str] | None,
    typer.Option(
        "--task",
        metavar="TASK",
        help="Replaces the profile's tasks: a name, or the .yml description of your own data; repeat for several.",
    ),
]
Seeds = Annotated[
    list[int] | None, typer.Option("--seed", metavar="N", help="Replaces the profile's seeds; repeat for several.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="Sets a recipe field for every arm, or the budget (budget=A); repeat for several.",
    ),
]
Axes = Annotated[
    list[str] | None,
    typer.Option(
        "--axis",
        metavar="AXIS=POINTS",
        help="Runs only these points of an axis, or other values of its field; repeat for several.",
    ),
]
Model = Annotated[str | None, typer.Option("--model", metavar="NAME", help="The encoder: a hub name or a folder.")]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", metavar="FOLDER", help="A folder in the GLUE download layout.")
]
ModelsDir = Annotated[
    Path | None, typer.Option("--models-dir", metavar="FOLDER", help="A folder that holds models by name.")
]
Device = Annotated[str, typer.Option(metavar="NAME", help="Device of the training: auto, cpu, cuda or mps.")]
Precision = Annotated[str, typer.Option(metavar="NAME", help="Precision of the training: auto, fp32 or bf16.")]
Synonyms = Annotated[
    Path | None, typer.Option("--synonyms", metavar="FILE", help="A synonym table, for arms that augment with one.")
]
Results = Annotated[
    Path | None,
    typer.Option(
        "--results",
        metavar="FOLDER",
        help="Folder of the results. By default results/<profile> in the checkout where the command starts, or in the "
        "current folder outside one; the variable XTC_RESULTS replaces results.",
    ),
]


def chosen_ablations(
    studies: list[str],
    profile: str,
    tasks: list[str] | None,
    seeds: list[int] | None,
    settings: list[str] | None,
    axes: list[str] | None,
    model: str | None,
    results: Path | None,
    **places: Any,
) -> list[Ablation]:
    """The chosen studies. An axis holds for those that have it, a budget for those that do not vary it; it is an error
    if there are none."""
    from xtc_study.arms import BUDGET, ArmError, varies_budget
    from xtc_study.nearest import did_you_mean
    from xtc_study.places import check_results, results_folder
    from xtc_study.studies import load_study, study_at, study_names
    from xtc_study.study import Ablation
    from xtc_study.values import axis_points, setting

    overrides: dict[str, Any] = {}
    pairs = [setting(text) for text in settings or []] + ([] if model is None else [("model", model)])
    for field, value in pairs:
        if field in overrides:
            raise ValueError(f"{field}={value!r}: was set to {overrides[field]!r} before; give one value")
        overrides[field] = value
    points: dict[str, list[Any]] = {}
    for name, more in map(axis_points, axes or []):
        points.setdefault(name, []).extend(more)
    names = study_names() if "all" in studies else list(dict.fromkeys(studies))
    check_results(results_folder(profile, results))
    known = {name: set(load_study(name).axes) for name in names}
    unknown = sorted(set(points) - set().union(*known.values()))
    if unknown:
        there = sorted(set().union(*known.values()))
        having = (", ".join(there) or "none") + did_you_mean(unknown[0], there)
        raise ArmError(f"--axis {unknown[0]}: no such axis in {', '.join(names)}; there are: {having}")
    varying = [name for name in names if BUDGET in overrides and varies_budget(study_at(load_study(name)).arms)]
    exempt = varying if len(varying) < len(names) else []  # if all vary it, each says so itself
    return [
        Ablation(
            name,
            profile,
            tasks,
            seeds,
            {field: value for field, value in overrides.items() if field != BUDGET or name not in exempt},
            results,
            axes={axis: points[axis] for axis in points if axis in known[name]},
            **places,
        )
        for name in names
    ]


def check_places(ablations: list[Ablation]) -> None:
    """That results can be written and models are there, as far as can be told without loading them."""
    from xtc_study.places import check_writable

    check_writable(ablations[0].results)
    for doubt in dict.fromkeys(doubt for ablation in ablations for doubt in ablation.check_models()):
        warnings.warn(doubt, stacklevel=2)


def say_what_was_left_out(ablations: list[Ablation]) -> None:
    """What chosen axes leave of a study whose reference or claims are about other arms."""
    from xtc_study.studies import load_study, study_at

    for one in ablations:
        whole = study_at(load_study(one.study.name), one.profile.name)
        if (one.study.reference, len(one.study.claims)) != (whole.reference, len(whole.claims)):
            say(f"{one.study.name}: {one.in_words()}")
