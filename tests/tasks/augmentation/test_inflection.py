from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xtc_study.tasks.augmentation.inflection import (
    BASE,
    ED,
    ING,
    IRREGULAR_VERBS,
    PARTICIPLE,
    PAST,
    Reading,
    S,
    inflect,
    readings,
)


@pytest.mark.parametrize(
    ("base", "forms"),
    [
        ("walk", ["walks", "walking", "walked", "walked", "walked"]),
        ("stop", ["stops", "stopping", "stopped", "stopped", "stopped"]),
        ("equip", ["equips", "equipping", "equipped", "equipped", "equipped"]),
        ("admit", ["admits", "admitting", "admitted", "admitted", "admitted"]),
        ("visit", ["visits", "visiting", "visited", "visited", "visited"]),
        ("play", ["plays", "playing", "played", "played", "played"]),
        ("fix", ["fixes", "fixing", "fixed", "fixed", "fixed"]),
        ("try", ["tries", "trying", "tried", "tried", "tried"]),
        ("tie", ["ties", "tying", "tied", "tied", "tied"]),
        ("agree", ["agrees", "agreeing", "agreed", "agreed", "agreed"]),
        ("make", ["makes", "making", "made", "made", "made"]),
        ("see", ["sees", "seeing", "saw", "seen", None]),
        ("panic", ["panics", None, None, None, None]),
        ("go", [None, "going", "went", "gone", None]),
    ],
)
def test_forms_match_hand_written_values(base: str, forms: list[str | None]) -> None:
    assert [inflect(base, form) for form in (S, ING, PAST, PARTICIPLE, ED)] == forms
    assert inflect(base, BASE) == base


@pytest.mark.parametrize("noun", ["man", "child", "knife", "ox", "crisis", "photo", "sheep"])
def test_uncertain_plurals_are_left_out(noun: str) -> None:
    assert inflect(noun, S) is None


@pytest.mark.parametrize(
    ("word", "base", "form"),
    [
        ("boxes", "box", S),
        ("cities", "city", S),
        ("running", "run", ING),
        ("lying", "lie", ING),
        ("hoped", "hope", ED),
    ],
)
def test_readings_contain_the_base_form_and_the_word_itself(word: str, base: str, form: str) -> None:
    assert readings(word)[0] == (word, BASE)
    assert (base, form) in readings(word)


def test_irregular_form_has_no_other_reading() -> None:
    assert readings("saw") == [Reading("see", PAST)]
    assert readings("left") == [Reading("leave", ED)]
    assert readings("hit") == [Reading("hit", BASE)]  # its own past


@given(st.one_of(st.sampled_from(sorted(IRREGULAR_VERBS)), st.from_regex(r"[a-z]{2,10}", fullmatch=True)))
def test_inflecting_a_reading_gives_the_word_back(word: str) -> None:
    assert all(inflect(base, form) == word for base, form in readings(word))


@given(st.sampled_from(sorted(IRREGULAR_VERBS)), st.sampled_from([PAST, PARTICIPLE, ED, ING, S]))
def test_every_form_of_a_verb_can_be_read(base: str, form: str) -> None:
    word = inflect(base, form)
    if word not in (None, base):
        assert any(reading.base == base for reading in readings(word)) or word in ("lay", "wound", "found")
