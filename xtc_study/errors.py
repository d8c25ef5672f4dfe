"""An exception's text for a message of ours: its first line, or all of it on one line."""

from __future__ import annotations


def first_line(error: BaseException) -> str:
    """The first line of its text; its class where it has none."""
    return next((line.rstrip() for line in str(error).splitlines()), "") or type(error).__name__


def one_line(error: BaseException, most: int = 300) -> str:
    """Its whole text on one line, cut after ``most`` characters."""
    text = " ".join(str(error).split())
    return text if len(text) <= most else f"{text[:most]}..."
