"""Fractions of two-level designs: which arms, which aliases, and what is refused."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xtc_study.fractional import LETTERS, STANDARD, Design, DesignError, designed_arms, fraction_of


def axes(count: int) -> dict[str, dict[str, dict[str, Any]]]:
    return {f"axis {n}": {f"low {n}": {}, f"high {n}": {f"field_{n}": n}} for n in range(1, count + 1)}


def test_half_of_three_axes_by_hand() -> None:
    """C is high where one of A and B is, so that the arm with all low is among the four; I = -ABC."""
    fraction = fraction_of(axes(3), Design.of({"fractional": {"C": "AB"}}))
    assert [sorted(row) for row in fraction.rows] == [[], ["A", "C"], ["B", "C"], ["A", "B"]]
    assert fraction.words == ("ABC",) and fraction.resolution == 3
    assert [contrast.code for contrast in fraction.contrasts] == ["A - BC", "B - AC", "C - AB"]
    assert fraction.contrasts[2].signs == (-1, 1, 1, -1)


def test_the_sixteenth_of_eight_axes_by_hand() -> None:
    """Montgomery, Design and Analysis of Experiments, table of 2^(8-4): E=BCD, F=ACD, G=ABC, H=ABD, resolution IV."""
    fraction = fraction_of(axes(8), Design.of("fractional"))
    assert dict(fraction.generators) == {"E": "BCD", "F": "ACD", "G": "ABC", "H": "ABD"}
    assert len(fraction.rows) == 16 and fraction.resolution == 4 and len(fraction.words) == 15
    codes = [contrast.code for contrast in fraction.contrasts]
    assert codes[:8] == list("ABCDEFGH")
    assert codes[8:10] == ["AB + CG + DH + EF", "AC + BG + DF + EH"] and len(codes) == 15
    assert fraction.rows[-1] == frozenset("ABCDEFGH")


@pytest.mark.parametrize(
    ("count", "resolution", "text"), [(count, *entry) for count, entries in STANDARD.items() for entry in entries]
)
def test_a_standard_fraction_has_its_resolution(count: int, resolution: int, text: str) -> None:
    generators = dict(part.split("=") for part in text.split())
    fraction = fraction_of(axes(count), Design(fractional=generators))
    assert fraction.resolution == resolution and len(fraction.rows) == 2 ** (count - len(generators))


def test_a_resolution_takes_the_smallest_standard_fraction_that_has_it() -> None:
    sizes = {
        (count, wanted): len(fraction_of(axes(count), Design.of({"fractional": wanted})).rows)
        for count, wanted in [(5, "III"), (5, "IV"), (8, "III"), (8, "V"), (7, "IV")]
    }
    assert sizes == {(5, "III"): 8, (5, "IV"): 16, (8, "III"): 16, (8, "V"): 64, (7, "IV"): 16}


@st.composite
def designs(draw: st.DrawFn) -> tuple[int, dict[str, str]]:
    basic = draw(st.integers(2, 5))
    words = ["".join(word) for size in range(2, basic + 1) for word in itertools.combinations(LETTERS[:basic], size)]
    chosen = draw(st.lists(st.sampled_from(words), min_size=1, max_size=4, unique=True))
    letters = LETTERS[basic : basic + len(chosen)]
    return basic + len(chosen), dict(zip(letters, chosen, strict=True))


@given(designs())
@settings(max_examples=60, deadline=None)
def test_contrasts_are_orthogonal_and_are_what_their_letters_say(design: tuple[int, dict[str, str]]) -> None:
    count, generators = design
    fraction = fraction_of(axes(count), Design(fractional=generators))
    signs = np.array([contrast.signs for contrast in fraction.contrasts])
    arms = len(fraction.rows)
    assert (signs @ signs.T == arms * np.eye(arms - 1)).all() and (signs.sum(axis=1) == 0).all()
    assert not fraction.rows[0] and len(set(fraction.rows)) == arms
    level = {letter: np.array([1 if letter in row else -1 for row in fraction.rows]) for letter in fraction.axes}
    for contrast in fraction.contrasts:
        if contrast.factor:
            assert (level[contrast.factor] == contrast.signs).all()
        for one, other in contrast.pairs:
            sign = -1 if contrast.factor else 1
            assert (sign * level[one] * level[other] == contrast.signs).all()
    mains = [contrast.factor for contrast in fraction.contrasts if contrast.factor]
    pairs = [pair for contrast in fraction.contrasts for pair in contrast.pairs]
    assert sorted(mains) == sorted(fraction.axes)
    assert sorted(pairs) == sorted("".join(pair) for pair in itertools.combinations(fraction.axes, 2))


def test_arms_are_named_by_what_is_high_and_set_the_fields_of_their_labels() -> None:
    three = axes(3) | {"axis 1": {"low 1": {"batch_size": 8}, "high 1": {"batch_size": 16}}}
    arms = designed_arms(three, Design.of({"fractional": {"C": "AB"}}), "today")
    assert [arm.name for arm in arms] == ["today", "high 1 + high 3", "high 2 + high 3", "high 1 + high 2"]
    assert [arm.code for arm in arms] == ["(1)", "ac", "bc", "ab"]
    assert [arm.set for arm in arms[:2]] == [{"batch_size": 8}, {"batch_size": 16, "field_3": 3}]
    assert arms[1].factors == {"axis 1": "high 1", "axis 2": "low 2", "axis 3": "high 3"}
    every = designed_arms(axes(4), Design.of("fractional"), "today")
    assert [arm.name for arm in every if len(arm.code) == 4] == ["all 4"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("full", "design='full': expected fractional, {fractional: IV} with one of III, IV, V, or generators"),
        ({"fractional": "VI"}, "expected fractional"),
        ({"fractional": {}}, "expected fractional"),
        ({"fractional": {"E": 3}}, "expected fractional"),
        ({"fraction": "IV"}, "expected fractional"),
        ({"fractional": "IV", "more": 1}, "expected fractional"),
        ([], "expected fractional"),
    ],
)
def test_a_design_that_is_none(value: Any, message: str) -> None:
    with pytest.raises(ValueError) as error:
        Design.of(value)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("count", "fractional", "message"),
    [
        (2, "IV", "a fraction needs at least three axes, got axis 1, axis 2"),
        (16, "IV", "16 axes; expected at most 15"),
        (10, "IV", "no standard fraction of 10 axes is known, only of 3 to 9; give generators"),
        (3, "IV", "3 axes have no fraction of resolution IV; ask for a lower one"),
        (4, {"E": "ABC"}, "generator E=ABC: the axes have the letters A, B, C, D"),
        (4, {"D": "A"}, "generator D=A: expected two or more of the letters A, B, C, which have no generator"),
        (4, {"D": "AAB"}, "generator D=AAB: expected two or more"),
        (5, {"D": "AB", "E": "AD"}, "generator E=AD: expected two or more of the letters A, B, C"),
        (4, {"D": "ABx"}, "generator D=ABx"),
        (5, {"D": "ABC", "E": "ABC"}, r"D (axis 4) and E (axis 5) the same in every arm; give them other generators"),
    ],
)
def test_a_design_that_does_not_fit_the_axes(count: int, fractional: Any, message: str) -> None:
    with pytest.raises(DesignError) as error:
        fraction_of(axes(count), Design.of({"fractional": fractional}))
    assert message in str(error.value)


def test_axes_of_a_design_have_two_labels_and_fields_of_their_own() -> None:
    three_labels = axes(3) | {"axis 2": {"a": {}, "b": {}, "c": {}}}
    with pytest.raises(DesignError, match="axis axis 2 has the labels a, b, c; expected two, first low and then high"):
        fraction_of(three_labels, Design.of({"fractional": "III"}))
    twice = axes(3) | {"axis 2": {"a": {}, "b": {"field_1": 2}}}
    with pytest.raises(DesignError, match="axes axis 1 and axis 2 both set field_1"):
        designed_arms(twice, Design.of({"fractional": "III"}), "today")
