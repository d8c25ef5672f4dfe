"""Studies: the question, arms and claims of each, and the runs it needs at a profile's scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from xtc_study.arms import BUDGET, Arm, chosen_axes, grid, varied_fields, varies_budget, with_arm
from xtc_study.fractional import Designed, DesignError, designed_arms
from xtc_study.nearest import did_you_mean
from xtc_study.profiles import Profile
from xtc_study.recipe import Recipe
from xtc_study.tuning import Tuned
from xtc_study.yaml_models import load_yaml_model, names_in, what_is_wrong

CHANGEABLE = {"tasks", "seeds", BUDGET, "recipe", "axes", "design", "arms", "reference", "claims", "limits", "tune"}
"""What a study may set differently at one profile."""


class StudyError(ValueError):
    """A study that does not exist or is malformed."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClaimSpec(_Strict):
    """A finding, as a statement about the score of ``arm`` minus that of ``reference`` which runs can test.

    In a study with a design it may be about a factor instead: the mean over the arms that have it high minus the mean
    over those that have it low.

    ``equivalent``: not below the reference by more than the margin (non-inferiority: better also counts).
    ``lower``: below the reference by more than the margin. ``higher``: above it by more than the margin.
    """

    sentence: str
    """The finding, for a reader."""
    kind: Literal["equivalent", "lower", "higher"]
    arm: str = ""
    reference: str = ""
    factor: str = ""
    """The axis that the claim is about, in place of arm and reference."""
    margin: Annotated[float, Field(ge=0, lt=1)]
    """On the metric's scale, 0 to 1: 0.01 is one point."""
    source: str
    """Whose finding it is and where it was published."""

    @model_validator(mode="after")
    def _equivalence_needs_a_margin(self) -> Self:
        if self.kind == "equivalent" and self.margin == 0:
            raise ValueError("margin=0: expected above 0 for kind 'equivalent' (0.01 is a point)")
        return self

    @model_validator(mode="after")
    def _about_two_arms_or_a_factor(self) -> Self:
        if self.factor and (self.arm or self.reference):
            raise ValueError(f"factor={self.factor!r}: expected a factor or an arm with its reference, not both")
        if not (self.factor or (self.arm and self.reference)):
            raise ValueError("expected an arm and its reference or, in a study with a design, a factor")
        return self

    @property
    def about(self) -> str:
        """The arm or the factor whose difference is claimed."""
        return self.factor or self.arm

    @property
    def bound(self) -> float:
        """The difference at which the claim turns from false to true: the margin with its sign."""
        return self.margin if self.kind == "higher" else -self.margin


class StudySpec(_Strict):
    """One study: read from ``studies/<name>.yml``."""

    name: str
    title: str
    question: str
    notebook: str
    fixed: dict[str, Any] = {}
    """Recipe fields shared by every arm."""
    axes: dict[str, Annotated[dict[str, dict[str, Any]], Field(min_length=1)]] = {}
    """Maps axis and label to recipe fields; the arms are every combination. A study has either these or ``arms``."""
    design: Designed = None
    """Which of the combinations are run (``fractional``): each axis then has two labels, low and high. None: all."""
    arms: list[Arm] = []
    reference: str
    """The arm that the others are compared with; the first row of every table. With a design, the name that the arm
    gets which has every factor low."""
    claims: Annotated[list[ClaimSpec], Field(min_length=1)]
    """One family: their p-values are adjusted together (Holm)."""
    limits: list[str] = []
    tune: Tuned = None
    """What is tuned for each arm and task before it is trained in full (``tuning``); None: what the profile says."""
    profiles: dict[str, dict[str, Any]] = {}
    """What differs at each profile: tasks, seeds, budget, recipe fields under 'recipe', axes (each replaces the axis
    of its name), design, arms, reference, claims, limits (added to the others), tune."""

    @property
    def arm_names(self) -> list[str]:
        return [arm.name for arm in self.arms]


INNER: dict[str, type[BaseModel]] = {"claims": ClaimSpec, "arms": Arm}
"""Models of the entries of a study's list fields."""


@dataclass(frozen=True)
class PlannedRun:
    """One run that a study needs. Several studies may need the same run; each has rows for it."""

    study: str
    run_id: str
    """The name of its folder."""
    arm: str
    """The arm's name for a reader: ``1-bit``. All tasks and seeds of the arm share it."""
    recipe: Recipe
    waits: bool = False
    """Whether its tuned values are not chosen yet. Its recipe has the arm's own values, and it cannot be carried
    out."""


@cache
def study_names() -> tuple[str, ...]:
    return names_in("studies")


@cache
def load_study(name: str) -> StudySpec:
    """Load a study by name.

    Raises:
        StudyError: no such study, or a malformed one; the message names the field.
    """
    study = load_yaml_model("study", "studies", name, StudySpec, StudyError, INNER)
    study_at(study)
    for profile in study.profiles:
        study_at(study, profile)
    return study


def study_at(
    study: StudySpec, profile: str | None = None, axes: Mapping[str, Sequence[Any]] | None = None
) -> StudySpec:
    """Return a study as it is at a profile, with its arms written out.

    Args:
        study: as loaded.
        profile: its name; None: without any profile's changes.
        axes: the points to keep, by axis (see ``arms.chosen_axes``). Claims about arms that this removes are left out;
            if it removes the reference, the first arm takes its place.

    Raises:
        StudyError: arms, axes, claims or reference that do not fit together.
        ArmError: an unknown axis or point.
    """
    special = profile_part(study, profile) if profile else {}
    values = study.model_dump(exclude={"profiles"})
    values["axes"] = {**values["axes"], **special.get("axes", {})}
    values["limits"] = [*study.limits, *special.get("limits", [])]
    values |= {key: special[key] for key in ("design", "arms", "reference", "claims", "tune") if key in special}

    # The arms: listed, or every combination of the axes, or those of a design.
    if axes and values["design"] is not None:
        raise StudyError(
            f"axis {', '.join(axes)}: study {study.name} runs a designed part of the combinations of its axes, which "
            "is balanced only as a whole; choose some of its arms with --arm, or copy the study without design"
        )
    if axes:
        values["axes"] = chosen_axes(values["axes"], axes)
    if values["axes"] and values["arms"]:
        raise StudyError(f"study {study.name}: has both axes and arms; remove one of them")
    try:
        spec = StudySpec(**values)
        values["arms"] = values["arms"] or _arms_of(spec)
        spec = StudySpec(**values)
    except ValidationError as error:
        raise StudyError(f"study {study.name}: {what_is_wrong(error, StudySpec, INNER)}") from None
    except DesignError as error:
        raise StudyError(f"study {study.name}: {error}") from None

    # There must be at least two arms, with different names.
    arms = spec.arm_names
    if len(arms) < 2 and not axes:
        raise StudyError(f"study {study.name}: arms: expected at least two, got {', '.join(arms) or 'none'}")
    twice = sorted({arm for arm in arms if arms.count(arm) > 1})
    if twice:
        raise StudyError(f"study {study.name}: more than one arm is called {', '.join(twice)}")

    # The claims and the reference must name arms. With chosen axes, those that do not are dropped or replaced.
    if axes:
        kept = [claim for claim in spec.claims if {claim.arm, claim.reference} <= set(arms)]
        reference = spec.reference if spec.reference in arms else arms[0]
        return spec.model_copy(update={"claims": kept, "reference": reference})
    where = f", profile {profile}" if profile else ""
    for factor in [claim.factor for claim in spec.claims if claim.factor]:
        if spec.design is None or factor not in spec.axes:
            have = ", ".join(spec.axes) if spec.design else "no design"
            near = did_you_mean(factor, spec.axes)
            raise StudyError(f"study {study.name}{where}: a claim is about factor {factor!r}; it has {have}{near}")
    of_arms = [claim for claim in spec.claims if not claim.factor]
    for arm in [spec.reference, *(claim.arm for claim in of_arms), *(claim.reference for claim in of_arms)]:
        if arm not in arms:
            near = did_you_mean(arm, arms)
            raise StudyError(f"study {study.name}{where}: arm {arm!r} is not one of {', '.join(arms)}{near}")
    return spec


def _arms_of(spec: StudySpec) -> list[Arm]:
    """Return the arms that the axes of a study make: every combination, or those of its design."""
    if spec.design is None:
        return grid(spec.axes)
    return designed_arms(spec.axes, spec.design, spec.reference)


def in_words(study: StudySpec, whole: StudySpec) -> str:
    """Say in one sentence how many arms are chosen, what they are compared with, and how many claims are left.

    Args:
        study: with the axes chosen.
        whole: the same study at the same profile, with every point of its axes.
    """
    other = f" (not with {whole.reference}, which was not chosen)" if study.reference != whole.reference else ""
    claims = f"{len(study.claims)} of {len(whole.claims)} claims can be judged"
    if not study.claims:
        claims = "no claim can be judged: each is about an arm that was not chosen"
    count = f"{len(study.arms)} arm" + ("s" if len(study.arms) > 1 else "")
    if study.design is not None:
        count += f" of {2 ** len(study.axes)} combinations"
    return f"{count}, compared with {study.reference}{other}; {claims}."


def plan(
    study: StudySpec,
    profile: Profile,
    tasks: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    overrides: Mapping[str, Any] | None = None,
    axes: Mapping[str, Sequence[Any]] | None = None,
    folders: Mapping[str, str] | None = None,
) -> list[PlannedRun]:
    """Plan the runs of a study at a profile's scale: every task, seed and arm, in that order.

    Args:
        study: as loaded.
        profile: the scale.
        tasks: in place of the profile's.
        seeds: in place of the profile's.
        overrides: recipe fields set for every run before the arms set theirs, or ``budget``, one of the profile's.
        axes: the points to keep, by axis, or other values.
        folders: absolute paths of models by the names that overrides and axes give them.

    Raises:
        RecipeError: an unknown field or a value outside its range.
        StudyError: an override of a field that the arms vary, or of the task or seed.
        ArmError: an unknown axis or point.
    """
    special = profile_part(study, profile.name)
    arms = study_at(study, profile.name, axes).arms
    overrides = dict(overrides or {})

    # Overrides hold for every run, so they may not set what differs between runs.
    per_run = sorted({"task", "seed"} & set(overrides))
    if per_run:
        raise StudyError(f"{', '.join(per_run)}: differs from run to run; choose tasks and seeds instead")
    clash = sorted((varied_fields(arms) | ({BUDGET} if varies_budget(arms) else set())) & set(overrides))
    if clash:
        raise StudyError(f"{', '.join(clash)}: study {study.name} varies it, so it cannot be set for every arm")

    # One recipe per task, seed and arm. Later fields win: profile, study, study at this profile, override, arm.
    budget = overrides.pop(BUDGET, None) or special.get(BUDGET)
    runs: dict[tuple[str, str], PlannedRun] = {}
    for task in tasks or special.get("tasks") or profile.tasks:
        for seed in special.get("seeds") or profile.seeds if seeds is None else seeds:
            for arm in arms:
                fields = profile.fields(task, seed, arm.set.get(BUDGET) or budget)
                fields |= study.fixed | special.get("recipe", {}) | overrides
                values = with_arm(fields, arm)
                paths = {key: (folders or {}).get(str(values.get(key))) for key in ("model", "start")}
                recipe = Recipe.of(**values | {key: path for key, path in paths.items() if path})
                if recipe.holdout is not None:
                    raise StudyError(
                        f"holdout={recipe.holdout!r}: makes every run of study {study.name} a trial, which no table "
                        "counts; to choose a value on held-out rows, use --tune"
                    )
                # A static table is the same for every seed, and planned once.
                runs.setdefault((recipe.run_id, arm.name), PlannedRun(study.name, recipe.run_id, arm.name, recipe))
    return list(runs.values())


def profile_part(study: StudySpec, profile: str) -> dict[str, Any]:
    """Return what a study changes at this profile.

    Raises:
        StudyError: a key that no profile may change.
    """
    special = study.profiles.get(profile, {})
    unknown = sorted(set(special) - CHANGEABLE)
    if unknown:
        near = "".join(did_you_mean(key, CHANGEABLE) for key in unknown)
        raise StudyError(f"study {study.name}, profile {profile}: unknown key {', '.join(unknown)}{near}")
    return special
