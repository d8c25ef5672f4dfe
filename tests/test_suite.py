from __future__ import annotations

from pathlib import Path

from xtc_study.places import Places
from xtc_study.runs.carry_out import interleave
from xtc_study.study import Study
from xtc_study.suite import cost_together

CUT = {"weights": ["32-bit", "1-bit"], "activations": ["A8"]}


def test_workers_begin_with_different_teachers() -> None:
    runs = Study("12_bits", seeds=[0, 1], axes=CUT).planned
    turns = interleave([run.recipe for run in runs])
    assert [(recipe.seed, recipe.weight_bits) for recipe in turns] == [(0, 32), (1, 32), (0, 1), (1, 1)]


def test_steps_that_studies_share_are_counted_once(tmp_path: Path) -> None:
    one = Study("12_bits", seeds=[0], axes=CUT, places=Places(tmp_path))
    alone = cost_together([one])
    both = cost_together([one, Study("12_bits", seeds=[0, 1], axes=CUT, places=Places(tmp_path))])
    assert (alone.steps_alone, alone.steps_shared) == (4, 3), "a teacher and a student each; one teacher"
    assert (both.steps_alone, both.steps_shared) == (8, 6), "the second study has the first one's runs too"
