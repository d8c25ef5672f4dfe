"""The trials of a study: for each arm and task that is tuned, the runs that decide between the values tried."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from xtc_study.arms import Arm
from xtc_study.profiles import Profile
from xtc_study.studies import PlannedRun, StudyError, StudySpec
from xtc_study.tuning import Tune, Values, grid_of, own_fields, trial_of, with_values


@dataclass(frozen=True)
class TunedArm:
    """One arm on one task, with its values still to be chosen."""

    task: str
    arm: str
    own: Values
    """The arm's values before tuning."""
    grid: tuple[Values, ...]
    trials: tuple[tuple[PlannedRun, ...], ...]
    """For each point of the grid, its trials, one for each seed."""


def chosen_tune(spec: StudySpec, profile: Profile, tune: Any, overrides: Mapping[str, Any]) -> Tune:
    """Return what a study tunes at a profile: as chosen by the user, else by the study, else by the profile.

    Args:
        spec: the study at the profile.
        profile: the scale.
        tune: of the command line or a notebook: a mapping, ``none``, or None where nothing was chosen.
        overrides: recipe fields set for every run.

    Raises:
        TuneError: an unknown field, or values that cannot be tried.
        StudyError: a field that is both tuned and set, by the user.
    """
    if tune is None:
        return spec.tune or profile.tune or Tune()
    chosen = Tune.of(tune)
    clash = sorted(own_fields(overrides) & set(chosen.values))
    if clash:
        raise StudyError(f"{', '.join(clash)}: both set and tuned for every arm; use --set or --tune, not both")
    return chosen


def tuned_arms(
    planned: Sequence[PlannedRun], arms: Sequence[Arm], tune: Tune, overrides: Collection[str] = ()
) -> list[TunedArm]:
    """Return the arms to tune on each task, with their trials.

    An arm that sets a tuned field itself is not tuned in that field, and no arm in a field that an override sets.

    Args:
        planned: the runs before tuning.
        arms: of the study.
        tune: what is tried.
        overrides: names of fields set for every run.
    """
    sets = {arm.name: own_fields({*arm.set, *overrides}) for arm in arms}
    first: dict[tuple[str, str], PlannedRun] = {}
    for run in planned:
        first.setdefault((run.recipe.task, run.arm), run)

    tuned = []
    for (task, arm), run in first.items():
        if not (grid := grid_of(run.recipe, tune, sets[arm])):
            continue
        own = {field: float(getattr(run.recipe, field)) for field in grid[0]}
        trials = tuple(tuple(_trial(run, values, tune, seed) for seed in tune.seeds) for values in grid)
        tuned.append(TunedArm(task, arm, own, tuple(grid), trials))
    return tuned


def tuned_run(run: PlannedRun, values: Values) -> PlannedRun:
    """Return a run of the arm at the chosen values."""
    recipe = with_values(run.recipe, values)
    return replace(run, run_id=recipe.run_id, recipe=recipe)


def waiting_run(run: PlannedRun) -> PlannedRun:
    """Return the place of a run whose values are not chosen yet, with the recipe at the arm's own values.

    No folder has its id, so that it counts as missing, whatever was run at the arm's own values.
    """
    slug, _, digest = run.run_id.rpartition("-")
    return replace(run, run_id=f"{slug}-to-be-chosen-{digest}", waits=True)


def _trial(run: PlannedRun, values: Values, tune: Tune, seed: int) -> PlannedRun:
    recipe = trial_of(run.recipe, values, tune, seed)
    return replace(run, run_id=recipe.run_id, recipe=recipe)
