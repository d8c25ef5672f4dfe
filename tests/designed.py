"""A designed study and its runs made up: half of three axes, so four arms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fabricate import make_done_run

from xtc_study.profiles import load_profile
from xtc_study.studies import PlannedRun, StudySpec, plan, study_at

AXES: dict[str, Any] = {
    "rate": {"slow": {}, "fast": {"learning_rate": "x2"}},
    "decay": {"decay": {}, "no decay": {"weight_decay": 0}},
    "scale": {"one scale": {}, "row scales": {"granularity": "row"}},
    "warm-up": {"warm-up": {}, "no warm-up": {"warmup": 0}},
}
TASKS = ("toy-inference", "toy-pairs")


def designed_spec(**changed: Any) -> StudySpec:
    """A study of four axes in eight arms."""
    claims = [
        {"sentence": f"{axis} helps.", "kind": "higher", "factor": axis, "margin": 0, "source": "us"} for axis in AXES
    ]
    values = {"title": "t", "question": "q", "notebook": "n", "axes": AXES, "design": "fractional", "reference": "XTC"}
    return study_at(StudySpec(**{"name": "own", **values, "claims": claims, **changed}))


def designed_plan(tasks: tuple[str, ...] = TASKS, seeds: tuple[int, ...] = (0, 1)) -> list[PlannedRun]:
    spec = designed_spec()
    return plan(spec.model_copy(update={"arms": []}), load_profile("smoke"), tasks=tasks, seeds=seeds)


def make_runs(runs: Path, planned: list[PlannedRun], worth: Mapping[str, float]) -> None:
    """Make every run done. An arm's accuracy is 0.5 and what each of its high axes is worth."""
    arms = {arm.name: arm for arm in designed_spec().arms}
    for run in planned:
        factors = arms[run.arm].factors
        high = [axis for axis, label in factors.items() if label != next(iter(AXES[axis]))]
        make_done_run(runs, run, 0.5 + sum(worth.get(axis, 0.0) for axis in high), examples=400)
