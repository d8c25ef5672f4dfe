"""What a study's steps cost and save: from the records of trained steps. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from xtc_study.recipe import Recipe
from xtc_study.runs.step_times import StepTimes
from xtc_study.runs.steps import StepStore
from xtc_study.training.steps import Step, chain


@dataclass(frozen=True)
class Account:
    """Steps and training seconds of some recipes, were each carried out alone, and shared as they are."""

    steps_alone: int
    steps_shared: int
    steps_to_do: int
    seconds_alone: float | None
    """None where no step of that kind was ever trained here, so nothing is known."""
    seconds_shared: float | None
    seconds_to_do: float | None

    @property
    def share(self) -> float | None:
        """Cost of the study over the cost of separate pipelines."""
        if not self.seconds_alone or self.seconds_shared is None:
            return None
        return self.seconds_shared / self.seconds_alone


def account(
    recipes: Sequence[Recipe],
    store: StepStore,
    times: StepTimes | None = None,
    synonyms: str | None = None,
    task_files: Sequence[Path] = (),
) -> Account:
    """The account of these recipes. A step that was not trained yet is estimated from those that were.

    The estimate is the mean training time per epoch of steps of the same phase and task; else it comes from
    ``times``, steps measured for this; else from steps of the same phase.

    Args:
        synonyms: the hash of the synonym table in use (see ``chain``).
        task_files: descriptions of data sets of your own among the tasks.
    """
    alone = [step for recipe in recipes for step in chain(recipe, synonyms)]
    shared = {step.address: step for step in alone}
    to_do = {address: step for address, step in shared.items() if not store.is_done(address)}
    records = store.records()
    known = {
        address: record["seconds"] for address, record in records.items() if isinstance(record.get("seconds"), float)
    }
    rates = _rates(records)

    def cost(steps: Sequence[Step]) -> float | None:
        total = 0.0
        for step in steps:
            seconds = known.get(step.address)
            if seconds is None:
                seconds = _estimate(step, rates, times, task_files)
            if seconds is None:
                return None
            total += seconds
        return total

    return Account(
        steps_alone=len(alone),
        steps_shared=len(shared),
        steps_to_do=len(to_do),
        seconds_alone=cost(alone),
        seconds_shared=cost(list(shared.values())),
        seconds_to_do=cost(list(to_do.values())),
    )


def _estimate(
    step: Step, rates: dict[tuple[str, str], float], times: StepTimes | None, task_files: Sequence[Path]
) -> float | None:
    rate = rates.get((step.phase, str(step.task)))
    if rate is None and times is not None:
        return times.seconds(step, task_files)
    rate = rates.get((step.phase, "")) if rate is None else rate
    return None if rate is None else rate * step.epochs / step.part[1]


def _rates(records: dict[str, dict[str, Any]]) -> dict[tuple[str, str], float]:
    """Seconds an epoch by phase and task, and by phase alone (task '')."""
    seen: dict[tuple[str, str], list[float]] = {}
    for record in records.values():
        try:
            rate = float(record["seconds"]) / float(record["epochs"])
            phase, task = str(record["phase"]), str(record["task"])
        except (KeyError, TypeError, ValueError, ZeroDivisionError):
            continue
        seen.setdefault((phase, task), []).append(rate)
        seen.setdefault((phase, ""), []).append(rate)
    return {key: mean(rates) for key, rates in seen.items()}
