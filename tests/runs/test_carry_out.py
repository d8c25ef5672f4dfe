from __future__ import annotations

from pathlib import Path

from fabricate import make_done_run

from xtc_study.places import Places
from xtc_study.runs.carry_out import RunFilter, interleave
from xtc_study.study import Study

CUT = {"weights": ["32-bit", "1-bit"], "activations": ["A8"]}


def test_workers_begin_with_different_teachers() -> None:
    runs = Study("12_bits", seeds=[0, 1], axes=CUT).planned
    turns = interleave([run.recipe for run in runs])
    assert [(recipe.seed, recipe.weight_bits) for recipe in turns] == [(0, 32), (1, 32), (0, 1), (1, 1)]


def test_forced_runs_stay_done_until_their_turn_comes(tmp_path: Path) -> None:
    study = Study("12_bits", places=Places(tmp_path), seeds=[0], axes=CUT)
    for run in study.planned:
        make_done_run(study.places.runs, run)
    study.outcomes(workers=1, which=RunFilter(force=True))  # nothing of it is iterated
    assert set(study.states()["state"]) == {"done"}
