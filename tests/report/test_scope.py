from __future__ import annotations

import pytest
from fabricate import plan_runs

from xtc_study.recipe import Recipe
from xtc_study.report.scope import Scope, scope_of, scope_together, student_epochs


def test_the_scope_names_tasks_seeds_encoder_and_epochs() -> None:
    one, other = scope_of(plan_runs(tasks=("cola",), seeds=2)), scope_of(plan_runs(tasks=("rte", "cola"), seeds=1))
    assert one.text == "Tasks: cola. Seeds: 0, 1. Encoder: builtin:tiny. Epochs of a student: 3."
    assert scope_together([one, other]) == Scope(("cola", "rte"), (0, 1), ("builtin:tiny",), (3.0,))
    assert Scope().text == scope_of([]).text == ""


@pytest.mark.parametrize(
    ("fields", "epochs"),
    [
        ({}, 9),
        ({"stages": 3}, 9),
        ({"weight_bits": 32, "activation_bits": 32}, 9),
        ({"layers": "1/2"}, 11),
        ({"layers": "1/2", "order": "together"}, 9),
        ({"layers": "1/2", "weight_bits": 32, "activation_bits": 32}, 2),
    ],
)
def test_student_epochs_include_those_of_the_reduction(fields: dict[str, object], epochs: float) -> None:
    assert student_epochs(Recipe.of(task="cola", epochs=9, reduce_epochs=2, **fields)) == epochs
