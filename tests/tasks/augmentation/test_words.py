from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xtc_study.tasks.augmentation.words import PLAIN_WORD, STOP_WORDS, replaceable, written_as


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("The dogs weren't barking.", ["dogs", "barking"]),
        ("John's dog, a half-breed, isn't 3yrs old", ["John", "dog", "half", "breed", "old"]),
        ("a caf\u00e9 and a cafe\u0301 near x_ray B2B", ["ray"]),
        ("ca n't stop", ["stop"]),
        ("", []),
    ],
)
def test_content_words_exclude_stop_words_and_odd_tokens(sentence: str, words: list[str]) -> None:
    assert [word.text for word in replaceable(sentence)] == words


@given(st.text(max_size=60))
def test_word_positions_match_the_sentence_and_words_are_plain(sentence: str) -> None:
    end = 0
    for word in replaceable(sentence):
        assert sentence[word.start : word.end] == word.text and word.start >= end
        assert PLAIN_WORD.fullmatch(word.text.lower()) and word.text.lower() not in STOP_WORDS
        end = word.end


def test_written_as_keeps_capitals() -> None:
    assert [written_as("cat", original) for original in ("dog", "Dog", "DOG")] == ["cat", "Cat", "CAT"]
