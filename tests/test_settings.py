from __future__ import annotations

import re
from typing import Any

import pytest

from xtc_study.settings import axis_points, listed, named, setting


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


def test_a_list_keeps_each_entry_once_and_nothing_stays_nothing() -> None:
    assert listed("seeds", (2, 0, 2), [0]) == [2, 0]
    assert listed("seeds", None, [0]) is None
    assert named("axes", {"depth": [1]}, {}) == {"depth": [1]}
    assert named("axes", None, {}) == {}


@pytest.mark.parametrize("value", ["", "cola", 0, [], (), {"cola": 1}])
def test_what_is_no_list_is_named_with_one_that_would_do(value: Any) -> None:
    with pytest.raises(ValueError, match=re.escape(f"tasks={value!r}: expected a list, for example ['cola']")):
        listed("tasks", value, ["cola"])


@pytest.mark.parametrize("value", ["epochs=2", ["epochs"], 2])
def test_what_has_no_names_is_named_too(value: Any) -> None:
    with pytest.raises(ValueError, match=re.escape(f"fields={value!r}: expected names with values")):
        named("fields", value, {"epochs": 2})
