"""What a study's steps cost, and what sharing them saves, from the records of trained steps. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

from xtc_study.chain import Step, chain
from xtc_study.places import Places
from xtc_study.recipe import Recipe
from xtc_study.runs.step_store import StepStore
from xtc_study.runs.step_times import StepTimes, read_step_times
from xtc_study.runs.training_work import Work, work_of_record, work_of_step
from xtc_study.tasks.augmentation.synonyms import table_hash


@dataclass(frozen=True)
class Cost:
    """Steps and training seconds of some recipes: if each were carried out alone, and with shared steps."""

    steps_alone: int
    steps_shared: int
    steps_to_do: int
    seconds_alone: float | None
    """None if a step cannot be estimated: none like it was trained here, and its model was not measured."""
    seconds_shared: float | None
    seconds_to_do: float | None
    measured: bool = True
    """Whether any of these seconds come from a measurement (``plan --measure``) and not from trained steps."""

    @property
    def share(self) -> float | None:
        """Cost of the study as a share of the cost of separate pipelines."""
        if not self.seconds_alone or self.seconds_shared is None:
            return None
        return self.seconds_shared / self.seconds_alone


def cost_of(recipes: Sequence[Recipe], places: Places, device: str = "auto") -> Cost:
    """Estimate the cost of recipes in a results folder, with the step times that were measured there."""
    measured = {model: read_step_times(places.results, model) for model in {recipe.model for recipe in recipes}}
    times = {model: of_model for model, of_model in measured.items() if of_model is not None}
    synonyms = table_hash(places.synonyms)
    return cost(recipes, StepStore(places.steps), times, synonyms, places.task_files, device)


def cost(
    recipes: Sequence[Recipe],
    store: StepStore,
    times: Mapping[str, StepTimes] | None = None,
    synonyms: str | None = None,
    task_files: Sequence[Path] = (),
    device: str = "auto",
) -> Cost:
    """Estimate the cost of recipes; steps that are not trained yet are estimated from trained ones.

    The estimate comes from trained steps of the same model, kind and task, of similar length, on the same device; else
    from ``times``; else from such steps of other tasks. Each is scaled by what it computes (``runs.training_work``).

    Args:
        recipes: of the planned runs.
        store: of the trained steps.
        times: measured steps by model.
        synonyms: the hash of the synonym table in use (see ``chain``).
        task_files: descriptions of the user's own data sets among the tasks.
        device: cpu, cuda or mps, or auto: the one that trained the model's newest step.
    """
    alone = [step for recipe in recipes for step in chain(recipe, synonyms)]
    shared = {step.address: step for step in alone}
    to_do = {address: step for address, step in shared.items() if not store.is_done(address)}
    records = store.records()

    # Seconds of every step: as recorded, or estimated.
    known = {
        address: record["seconds"] for address, record in records.items() if isinstance(record.get("seconds"), float)
    }
    depths = {model: measured.depth for model, measured in (times or {}).items()} | _depths(records)
    estimates = _Estimates(_timed(records, store, depths, task_files, device), times or {}, depths, task_files)

    def seconds_of(steps: Sequence[Step]) -> float | None:
        total = 0.0
        for step in steps:
            seconds = known.get(step.address)
            if seconds is None:
                seconds = estimates.of(step)
            if seconds is None:
                return None
            total += seconds
        return total

    return Cost(
        steps_alone=len(alone),
        steps_shared=len(shared),
        steps_to_do=len(to_do),
        seconds_alone=seconds_of(alone),
        seconds_shared=seconds_of(list(shared.values())),
        seconds_to_do=seconds_of(list(to_do.values())),
        measured=estimates.measured,
    )


class _TimedWork(NamedTuple):
    """What a trained step computed, and how long it took."""

    work: Work
    seconds: float
    device: str
    when: float
    """When its record was written."""


class _Estimates:
    """Estimates the seconds of steps that are not trained yet."""

    def __init__(
        self,
        timed: list[_TimedWork],
        times: Mapping[str, StepTimes],
        depths: Mapping[str, int],
        task_files: Sequence[Path],
    ) -> None:
        self.timed, self.times, self.depths, self.task_files = timed, times, depths, task_files
        self.measured = False
        self.estimates: dict[str, float | None] = {}

    def of(self, step: Step) -> float | None:
        if step.address not in self.estimates:
            self.estimates[step.address] = self._of(step)
        return self.estimates[step.address]

    def _of(self, step: Step) -> float | None:
        if step.epochs == 0:
            return 0.0
        work = work_of_step(step, self.depths, self.task_files)
        same_model = [one for one in self.timed if one.work.model == work.model]
        seconds = _scaled(work, [one for one in same_model if one.work.task == work.task])
        if seconds is None and work.model in self.times:
            seconds = self.times[work.model].seconds(step, self.task_files)
            self.measured |= seconds is not None
        return _scaled(work, same_model) if seconds is None else seconds


def _depths(records: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Return the number of layers of each encoder with a trained step."""
    sizes = [record["size"] for record in records.values() if isinstance(record.get("size"), dict)]
    return {
        str(size["model"]): int(size["encoder_depth"]) for size in sizes if {"model", "encoder_depth"} <= set(size)
    }


def _scaled(work: Work, timed: Sequence[_TimedWork]) -> float | None:
    """Return the mean of the estimates from each timed work; None where none can be compared."""
    estimates = [one.seconds * ratio for one in timed if (ratio := work.times(one.work)) is not None]
    return mean(estimates) if estimates else None


def _timed(
    records: Mapping[str, Mapping[str, Any]],
    store: StepStore,
    depths: Mapping[str, int],
    task_files: Sequence[Path],
    device: str,
) -> list[_TimedWork]:
    """Return what each trained step computed and its seconds, on one device per model."""
    timed: list[_TimedWork] = []
    for address, record in records.items():
        work, seconds = work_of_record(record, records, depths, task_files), record.get("seconds")
        if work is not None and isinstance(seconds, int | float) and seconds > 0:
            when = (store.folder(address) / "step.json").stat().st_mtime
            timed.append(_TimedWork(work, float(seconds), str(record.get("device")), when))

    # With auto, the device of each model's newest step counts.
    newest = {one.work.model: one.device for one in sorted(timed, key=lambda one: one.when)}
    return [one for one in timed if one.device == (newest[one.work.model] if device == "auto" else device)]
