from __future__ import annotations

from xtc_study.runs.carry_out import interleave
from xtc_study.study import Study

CUT = {"weights": ["32-bit", "1-bit"], "activations": ["A8"]}


def test_workers_begin_with_different_teachers() -> None:
    runs = Study("12_bits", seeds=[0, 1], axes=CUT).planned
    turns = interleave([run.recipe for run in runs])
    assert [(recipe.seed, recipe.weight_bits) for recipe in turns] == [(0, 32), (1, 32), (0, 1), (1, 1)]
