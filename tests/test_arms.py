from __future__ import annotations

import pytest

from xtc_study.arms import Arm, ArmError, chosen_axes, grid, varied_fields, with_arm

AXES = {
    "weights": {"32-bit": {"weight_bits": 32, "activation_bits": 32}, "1-bit": {"weight_bits": 1}},
    "rate": {"x1": {"learning_rate": "x1"}, "x2": {"learning_rate": "x2"}},
}


def test_a_grid_is_every_combination_with_the_last_axis_fastest() -> None:
    arms = grid(AXES)
    assert [arm.name for arm in arms] == ["32-bit, x1", "32-bit, x2", "1-bit, x1", "1-bit, x2"]
    assert arms[1].set == {"weight_bits": 32, "activation_bits": 32, "learning_rate": "x2"}
    assert arms[1].factors == {"weights": "32-bit", "rate": "x2"}


def test_two_axes_cannot_set_one_field() -> None:
    with pytest.raises(ArmError, match="axes weights and both both set weight_bits"):
        grid({**AXES, "both": {"y": {"weight_bits": 2}}})


def test_chosen_points_are_labels_or_values_of_the_one_field() -> None:
    chosen = chosen_axes(AXES, {"rate": ["x2", 3e-4]})
    assert chosen["rate"] == {"x2": {"learning_rate": "x2"}, "0.0003": {"learning_rate": 3e-4}}
    assert chosen["weights"] is AXES["weights"]


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"depth": [1]}, "axis depth: unknown; this study has weights, rate"),
        ({"weights": [4]}, "axis weights: no point 4; expected some of 32-bit, 1-bit"),
        ({"rate": []}, r"axis rate=\[\]: expected a list of points"),
        ({"rate": "x1"}, "axis rate='x1': expected a list of points"),
    ],
)
def test_points_that_are_not_there(chosen: dict, message: str) -> None:
    with pytest.raises(ArmError, match=message):
        chosen_axes(AXES, chosen)


def test_a_multiple_is_of_what_was_there() -> None:
    arm = Arm(name="a", set={"learning_rate": "x2.5", "epochs": "x2", "budget": "C", "stages": 2})
    fields = with_arm({"learning_rate": 2e-5, "epochs": 3, "stages": 1}, arm)
    assert fields == {"learning_rate": 5e-5, "epochs": 6, "stages": 2}
    for start in ("teacher", None, True):
        with pytest.raises(ArmError, match=r"arm a: learning_rate=.x2\.5. multiplies the profile.s value, which is"):
            with_arm({"learning_rate": start, "epochs": 1}, arm)


def test_a_budget_varies_the_epochs() -> None:
    assert varied_fields(grid(AXES)) == {"weight_bits", "activation_bits", "learning_rate"}
    assert varied_fields([Arm(name="a", set={"budget": "A"})]) == {"epochs", "reduce_epochs"}
