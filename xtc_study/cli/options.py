"""The options that choose studies and their runs, shared by every command about studies."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xtc_study.cli.console import say

if TYPE_CHECKING:
    from xtc_study.places import Compute
    from xtc_study.study import Study

StudyNames = Annotated[
    list[str], typer.Argument(help="Names of studies, or 'all'; 'xtc-study plan all' lists them with their arms.")
]
AnyStudyNames = Annotated[list[str] | None, typer.Argument(help="Names of studies; all of them if omitted.")]
ProfileName = Annotated[str, typer.Option("--profile", metavar="NAME", help="The scale: smoke, mini or paper.")]
Tasks = Annotated[
    list[str] | None,
    typer.Option(
        "--task",
        metavar="TASK",
        help="Task in place of the profile's: a name, or the .yml description of your own data; repeat for several.",
    ),
]
Seeds = Annotated[
    list[int] | None,
    typer.Option("--seed", metavar="N", help="Seed in place of the profile's; repeat for several."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="Set a recipe field for every arm, or the budget (budget=A); repeat for several.",
    ),
]
Axes = Annotated[
    list[str] | None,
    typer.Option(
        "--axis",
        metavar="AXIS=POINTS",
        help="Keep only these points of an axis, or use other values of its field; repeat for several.",
    ),
]
Tuned = Annotated[
    list[str] | None,
    typer.Option(
        "--tune",
        metavar="FIELD=VALUES",
        help="Choose each arm's value of a recipe field among these, on training rows held out; in place of what the "
        "study tunes; repeat for several. 'none' tunes nothing. Example: learning_rate=x1,x2.5,x5.",
    ),
]
Model = Annotated[str | None, typer.Option("--model", metavar="NAME", help="The encoder: a hub name or a folder.")]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", metavar="FOLDER", help="A folder in the GLUE download layout.")
]
ModelsDir = Annotated[
    Path | None, typer.Option("--models-dir", metavar="FOLDER", help="A folder that holds models by name.")
]
Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda|mps", help="Device to train on.")]
Precision = Annotated[str, typer.Option(metavar="auto|fp32|bf16", help="Precision to train in.")]
Synonyms = Annotated[
    Path | None,
    typer.Option("--synonyms", metavar="FILE", help="A synonym table, for arms that augment with synonyms."),
]
Results = Annotated[
    Path | None,
    typer.Option(
        "--results",
        metavar="FOLDER",
        help="Folder of the results; by default results/<profile> in the current checkout, or else in the current "
        "folder. The environment variable XTC_RESULTS replaces 'results'.",
    ),
]


@dataclass
class Selection:
    """The studies and runs that a command works on, and the folder of their results."""

    studies: StudyNames
    profile: ProfileName = "smoke"
    task: Tasks = None
    seed: Seeds = None
    settings: Settings = None
    axis: Axes = None
    tune: Tuned = None
    model: Model = None
    results: Results = None

    def overrides(self) -> dict[str, Any]:
        """Return the recipe fields that are set for every arm.

        Raises:
            ValueError: a field is set twice.
        """
        from xtc_study.values import setting

        overrides: dict[str, Any] = {}
        for field, value in [
            *map(setting, self.settings or []),
            *([("model", self.model)] if self.model is not None else []),
        ]:
            if field in overrides:
                raise ValueError(f"{field}={value!r}: already set to {overrides[field]!r}; give one value")
            overrides[field] = value
        return overrides

    def axes(self) -> dict[str, list[Any]]:
        """Return the points to keep, by axis."""
        from xtc_study.values import axis_points

        points: dict[str, list[Any]] = {}
        for name, more in map(axis_points, self.axis or []):
            points.setdefault(name, []).extend(more)
        return points

    def tuned(self) -> Any:
        """Return what to tune, as ``Study`` takes it: a mapping, ``none``, or None where nothing was chosen.

        Raises:
            ValueError: ``none`` and a field, or a setting given twice.
        """
        from xtc_study.tuning import NONE
        from xtc_study.values import tuned_values

        given = self.tune or []
        if NONE in given:
            if len(set(given)) > 1:
                raise ValueError(f"--tune none: given together with --tune {next(o for o in given if o != NONE)}")
            return NONE
        values: dict[str, Any] = {}
        for field, read in map(tuned_values, given):
            if field in values and not (isinstance(read, list) and isinstance(values[field], list)):
                raise ValueError(f"--tune {field}={read}: already set to {values[field]}; give one value")
            values[field] = [*values[field], *read] if field in values else read
        return values or None

    def chosen(self, data: DataPlaces | None = None, compute: Compute | None = None) -> list[Study]:
        """Make the chosen studies.

        An axis applies to the studies that have it, a budget to those that do not vary it.

        Args:
            data: where data and models are.
            compute: device and precision.

        Raises:
            ValueError: a name, field, value or point that does not exist, or an axis that no chosen study has.
        """
        from xtc_study.arms import BUDGET, ArmError, varies_budget
        from xtc_study.nearest import did_you_mean
        from xtc_study.places import Places, check_results, results_folder
        from xtc_study.studies import load_study, study_at, study_names
        from xtc_study.study import Study

        overrides, points, tune = self.overrides(), self.axes(), self.tuned()
        names = study_names() if "all" in self.studies else list(dict.fromkeys(self.studies))
        check_results(results_folder(self.profile, self.results))

        axes_of = {name: set(load_study(name).axes) for name in names}
        unknown = sorted(set(points) - set().union(*axes_of.values()))
        if unknown:
            known = sorted(set().union(*axes_of.values()))
            listed = (", ".join(known) or "none") + did_you_mean(unknown[0], known)
            raise ArmError(f"--axis {unknown[0]}: no such axis in {', '.join(names)}; existing axes: {listed}")

        varying = [name for name in names if BUDGET in overrides and varies_budget(study_at(load_study(name)).arms)]
        exempt = varying if len(varying) < len(names) else []  # if all vary it, each raises the error itself
        data = data or DataPlaces()
        places = Places.of(self.profile, self.results, data.data_dir, data.models_dir, data.synonyms)
        return [
            Study(
                name,
                self.profile,
                places,
                compute,
                tasks=self.task,
                seeds=self.seed,
                overrides={f: value for f, value in overrides.items() if f != BUDGET or name not in exempt},
                axes={axis: points[axis] for axis in points if axis in axes_of[name]},
                tune=tune,
            )
            for name in names
        ]


@dataclass
class ReportSelection(Selection):
    """Like ``Selection``, except that no name means all studies."""

    studies: AnyStudyNames = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.studies = self.studies or ["all"]


@dataclass
class DataPlaces:
    """Where a command finds data and models."""

    data_dir: DataDir = None
    models_dir: ModelsDir = None
    synonyms: Synonyms = None


@dataclass
class ComputeChoice:
    """The device and precision that a command trains with."""

    device: Device = "auto"
    precision: Precision = "auto"

    def compute(self) -> Compute:
        from xtc_study.places import Compute

        return Compute(self.device, self.precision)


def check_places(studies: Sequence[Study]) -> None:
    """Check that results can be written and that models exist, as far as this shows without loading them."""
    from xtc_study.places import check_writable

    check_writable(studies[0].places.results)
    for doubt in dict.fromkeys(doubt for study in studies for doubt in study.check_models()):
        warnings.warn(doubt, stacklevel=2)


def say_what_was_left_out(studies: list[Study]) -> None:
    """Say what the chosen axes leave of a study whose reference or claims name other arms."""
    from xtc_study.studies import load_study, study_at

    for one in studies:
        whole = study_at(load_study(one.spec.name), one.profile.name)
        if (one.spec.reference, len(one.spec.claims)) != (whole.reference, len(whole.claims)):
            say(f"{one.spec.name}: {one.in_words()}")
