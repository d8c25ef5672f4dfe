"""A study with a design at work: planned, tuned, run by arm, with made-up results."""

from __future__ import annotations

from pathlib import Path

import pytest
from fabricate import make_done_run

from xtc_study.places import Places
from xtc_study.runs.carry_out import RunFilter
from xtc_study.studies import StudyError
from xtc_study.study import Study

NAME = "40_beyond_xtc"


def study(folder: Path, **chosen: object) -> Study:
    return Study(NAME, places=Places(folder), **{"seeds": [0], **chosen})  # type: ignore[arg-type]


def test_every_factor_is_on_in_half_of_the_arms_and_the_reference_has_none(tmp_path: Path) -> None:
    found = study(tmp_path)
    assert found.in_words() == "16 arms of 256 combinations, compared with XTC; 8 of 8 claims can be judged."
    recipes = {run.arm: run.recipe for run in found.planned}
    assert len(recipes) == 16 and {recipe.granularity for recipe in recipes.values()} == {"row"}
    for field, value in (
        *(("warmdown", 0.25), ("student_weight_decay", 0), ("intervention", 0.33), ("attention_loss", "maps")),
        *(("weight_scale", "learned"), ("input_norm", "rms"), ("optimizer", "muon"), ("embedding_bits", 4)),
        *(("vocabulary", "task"), ("progressive", 0.2)),
    ):
        assert sum(getattr(recipe, field) == value for recipe in recipes.values()) == 8, field
        assert getattr(recipes["XTC"], field) != value and getattr(recipes["all 8"], field) == value


@pytest.mark.parametrize(("profile", "expected"), [("smoke", 2.5e-3), ("mini", 1e-3), ("paper", 5e-5)])
def test_muon_s_rate_is_that_of_all_arms(profile: str, expected: float, tmp_path: Path) -> None:
    found = study(tmp_path, profile=profile)
    (rate,) = {run.recipe.learning_rate for run in found.planned}
    assert rate == expected > found.profile.recipe["learning_rate"]
    assert {run.recipe.muon_learning_rate for run in found.planned if run.recipe.optimizer == "muon"} == {rate}


def test_arms_can_be_chosen_by_code_or_name(tmp_path: Path) -> None:
    found = study(tmp_path)
    (by_code,) = found.to_do(RunFilter(arms=["acdf"]))
    assert by_code.arm == "flat rate + maps + learned scale + muon"
    assert found.to_do(RunFilter(arms=[by_code.arm])) == [by_code]
    assert found.to_do(RunFilter(arms=["(1)"])) == found.to_do(RunFilter(arms=["XTC"]))
    with pytest.raises(StudyError, match="arm='abcd'"):
        found.to_do(RunFilter(arms=["abcd"]))
    assert found.command("all 8").endswith("--arm 'all 8'")


def test_arms_are_tuned_one_by_one(tmp_path: Path) -> None:
    found = study(tmp_path, tune={"learning_rate": ["x1", "x2"]})
    assert len(found.trials) == 32 and all(run.waits for run in found.planned)
    assert {trial.recipe.holdout for trial in found.trials} == {"1/5"}


def test_points_of_an_axis_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="axis schedule: study 40_beyond_xtc runs a designed part"):
        study(tmp_path, axes={"schedule": ["flat rate"]})


def test_power_is_that_of_an_effect(tmp_path: Path) -> None:
    found = study(tmp_path, seeds=[0, 1])
    assert "an effect of a factor, over 16 arms, of" in found.power() and "assuming" in found.power()
    for run in found.planned:
        make_done_run(found.places.runs, run)
    assert "measured on the 32 runs that are done" in found.power()
