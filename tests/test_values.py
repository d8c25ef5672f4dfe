from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xtc_study.values import (
    NUMBER,
    axis_points,
    listed,
    named,
    one_of,
    points_text,
    setting,
    setting_text,
    tuned_values,
)

PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text("an01e.-_'\"\\:,[]{}#&*!?|>%@~= é", max_size=8).filter(lambda text: not NUMBER.fullmatch(text))
)
VALUES = PLAIN | st.lists(PLAIN, max_size=3)


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


@settings(deadline=None, max_examples=50)
@given(VALUES)
def test_what_is_written_is_read_back(value: Any) -> None:
    text = setting_text("field", value)
    assert setting(text) == ("field", value) and "\n" not in text


@settings(deadline=None, max_examples=50)
@given(st.lists(VALUES, min_size=1, max_size=4))
def test_points_that_are_written_are_read_back(points: list[Any]) -> None:
    assert axis_points(points_text("axis", points)) == ("axis", points)


def test_what_is_written_looks_as_people_type_it() -> None:
    assert setting_text("layers", (0, 2)) == "layers=[0, 2]" and setting_text("ffn", None) == "ffn=null"
    assert points_text("depth", ["teacher's layers", "1/2", 3]) == "depth=teacher's layers,1/2,3"


def test_one_of_some_names() -> None:
    assert one_of("device", "cpu", ("auto", "cpu")) == "cpu"
    with pytest.raises(ValueError, match="device='gpu': expected one of auto, cpu"):
        one_of("device", "gpu", ("auto", "cpu"))


@pytest.mark.parametrize("text", ["epochs", "=3", "epochs=[1", ""])
def test_settings_that_say_nothing(text: str) -> None:
    with pytest.raises(ValueError, match="--set"):
        setting(text)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("learning_rate=x1,2e-4, 3", ("learning_rate", ["x1", 2e-4, 3])),
        ("holdout=1/5", ("holdout", "1/5")),
        ("holdout=1/5,1/4", ("holdout", ["1/5", "1/4"])),
        ("seeds=3", ("seeds", [3])),
    ],
)
def test_values_to_try_are_a_list_and_shares_are_not(text: str, read: tuple[str, Any]) -> None:
    assert tuned_values(text) == read


@pytest.mark.parametrize("text", ["epochs", "=1", "epochs=", "epochs=[1"])
def test_values_to_try_that_say_nothing(text: str) -> None:
    with pytest.raises(ValueError, match="--tune"):
        tuned_values(text)


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
