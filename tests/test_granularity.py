from __future__ import annotations

from typing import Any

import pytest

from xtc_study.granularity import Granularity


@pytest.mark.parametrize(
    ("text", "value", "scales"),
    [
        ("tensor", Granularity("tensor"), (1, 1)),
        ("row", Granularity("row"), (6, 1)),
        ("group:4", Granularity("group", 4), (6, 2)),
    ],
)
def test_text_to_value_and_shape_of_scales(text: str, value: Granularity, scales: tuple[int, int]) -> None:
    assert Granularity.parse(text) == value
    assert value.scale_shape(6, 8) == scales


@pytest.mark.parametrize(
    "text",
    ["column", "group:", "group:0", "group:-1", "group:064", "group:64\n", "group:6٤", "group:1e2", None, 64],
)
def test_anything_else_is_named(text: Any) -> None:
    with pytest.raises(ValueError, match=r"^granularity=.*: expected 'tensor', 'row' or 'group:N', for example"):
        Granularity.parse(text)


def test_columns_that_do_not_divide_into_groups() -> None:
    with pytest.raises(ValueError, match=r"granularity='group:3': 8 columns do not divide into groups of 3"):
        Granularity("group", 3).scale_shape(6, 8)
