"""What a mistyped name was meant to be."""

from __future__ import annotations

import pytest

from xtc_study.nearest import did_you_mean, nearest
from xtc_study.profiles import profile_names
from xtc_study.recipe import Recipe
from xtc_study.studies import study_names
from xtc_study.tasks.catalogue import TASKS


@pytest.mark.parametrize(
    ("typed", "names", "meant"),
    [
        ("12_bit", study_names(), "12_bits"),
        ("bits", study_names(), "12_bits"),
        ("smok", profile_names(), "smoke"),
        ("Paper", profile_names(), "paper"),
        ("cola2", TASKS, "cola"),
        ("SST-2", TASKS, "sst2"),
        ("wieght_bits", Recipe.model_fields, "weight_bits"),
        ("weightbits", Recipe.model_fields, "weight_bits"),
        ("lr", ["learning_rate"], None),
        ("1bit", ["32-bit", "8-bit", "1-bit"], "1-bit"),
        ("gpu", ["auto", "cpu", "cuda", "mps"], "cpu"),
        (3, ["3"], "3"),
        ("anything", [], None),
    ],
    ids=str,
)
def test_the_nearest(typed: object, names: list[str], meant: str | None) -> None:
    assert nearest(typed, names) == ([meant] if meant else [])
    assert did_you_mean(typed, names) == (f"; did you mean {meant!r}?" if meant else "")


def test_the_most_alike_comes_first_and_no_more_than_asked_for() -> None:
    assert nearest("run-10", ["run-20", "run-10x", "other", "run-30"], 2)[0] == "run-10x"
    assert len(nearest("run-10", [f"run-1{i}" for i in range(9)], 3)) == 3
