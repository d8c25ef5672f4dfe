from __future__ import annotations

from typing import Any

import pytest

from xtc_study.settings import axis_points, setting


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("2e-4", 2e-4), ("-1E3", -1000.0), ("row", "row"), ("[0, 2]", [0, 2]), ("null", None), ("true", True)],
)
def test_a_value_is_what_people_mean(text: str, value: Any) -> None:
    assert setting(f"field={text}") == ("field", value)
    assert type(setting(f"field={text}")[1]) is type(value)


def test_points_of_an_axis() -> None:
    text = "start=teacher's layers, 1/2,4,x2.5,[0, 2],2e-4,group:64"
    assert axis_points(text) == ("start", ["teacher's layers", "1/2", 4, "x2.5", [0, 2], 2e-4, "group:64"])


@pytest.mark.parametrize("text", ["epochs", "=3", "epochs=[1", ""])
def test_settings_that_say_nothing(text: str) -> None:
    with pytest.raises(ValueError, match="--set"):
        setting(text)


@pytest.mark.parametrize("text", ["depth", "=1", "depth=", "depth=[1"])
def test_axes_that_say_nothing(text: str) -> None:
    with pytest.raises(ValueError, match="--axis"):
        axis_points(text)
