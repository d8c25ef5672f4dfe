from __future__ import annotations

import pytest

from xtc_study.share import Share


@pytest.mark.parametrize(
    ("text", "count", "kept"),
    [("1/2", 12, 6), ("5/12", 12, 5), ("1/2", 5, 2), ("1/2", 7, 4), ("1/9", 4, 1), ("1/1", 4, 4), ("3/2", 4, 6)],
)
def test_a_share_of_a_count_is_the_nearest_one_of_at_least_1(text: str, count: int, kept: int) -> None:
    assert Share.parse(text).of(count) == kept


def test_a_share_of_an_amount_is_not_rounded() -> None:
    assert Share.parse("1/4").times(0.5) == 0.125
    assert Share.parse("1/3").times(1.0) == 1 / 3


def test_more_than_a_whole() -> None:
    assert Share.parse("3/2").exceeds_one
    assert not Share.parse("2/2").exceeds_one


@pytest.mark.parametrize("text", ["", "half", "1", "1/0", "0/2", "-1/2", "1/2/3", "1/1000", "1/2\n", " 1/2", "1.5/2"])
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a share such as 1/2"):
        Share.parse(text)
