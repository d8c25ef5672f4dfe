"""Lengths tell how many rows are cut, and which length would hold them."""

from __future__ import annotations

import pytest

from xtc_study.tasks.lengths import lengths_of, tokens_per_character


def test_lengths_match_hand_computed_values() -> None:
    found = lengths_of([*range(101, 118), 30, 40, 48], 48)
    assert (found.rows, found.cut, found.longest, found.median, found.holds_95) == (20, 17, 117, 107, 116)
    assert found.share == pytest.approx(0.85) and found.is_bad
    assert found.in_words("rows of dev") == (
        "17 of 20 rows of dev (85%) are longer than max_length=48 tokens and are cut: half of all rows have 107 or "
        "more, the longest has 117; max_length=116 would hold 95 %"
    )


def test_lengths_with_few_or_no_cut_rows() -> None:
    few = lengths_of([10] * 98 + [60, 70], 48)
    assert few.cut == 2 and not few.is_bad and "would hold" not in few.in_words("rows")
    none = lengths_of([10, 48], 48)
    assert none.cut == 0 and none.in_words("rows of dev") == (
        "rows of dev: none is longer than max_length=48 tokens (the longest has 48)"
    )
    assert lengths_of([7], 48).record() == {
        **{"rows": 1, "max_length": 48, "cut": 0, "longest": 7, "median": 7, "holds_95": 7}
    }


def test_tokens_per_character_match_hand_computed_values() -> None:
    """Six characters and a blank; 2 special tokens per row, and one mark before each text, do not count."""
    assert tokens_per_character([["abc de", "f"]], [2 + 1 + 9, 2 + 1 + 3], special=2) == pytest.approx(2.0)
    assert tokens_per_character([["ab"], ["c"]], [3 + 2 + 3], special=3) == pytest.approx(1.0)
