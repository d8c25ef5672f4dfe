"""The text of an exception for use in a message: its first line, or all of it on one line."""

from __future__ import annotations


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's text, or the name of its class where the text is empty."""
    return next((line.rstrip() for line in str(error).splitlines()), "") or type(error).__name__


def one_line(error: BaseException, most: int = 300) -> str:
    """Return an exception's whole text on one line, cut after ``most`` characters."""
    text = " ".join(str(error).split())
    return text if len(text) <= most else f"{text[:most]}..."
