from __future__ import annotations

import pytest

from xtc_study.errors import first_line, one_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("a  \nb"), "a"),
        (ValueError("a\r\nb"), "a"),
        (OSError(), "OSError"),
        (KeyError("a"), "'a'"),
        (ValueError("\nb"), "ValueError"),
    ],
)
def test_the_first_line_or_the_class(error: Exception, line: str) -> None:
    assert first_line(error) == line


def test_one_line_and_no_more_than_fits() -> None:
    assert one_line(ValueError("a\n  b\tc")) == "a b c"
    assert one_line(ValueError("x" * 300)) == "x" * 300
    assert one_line(ValueError("x" * 301)) == "x" * 300 + "..."
    assert one_line(ValueError("abc"), most=2) == "ab..."
