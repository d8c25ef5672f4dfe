"""Where commands print: results to standard output, messages to standard error. Lines are never wrapped."""

from __future__ import annotations

from rich.console import Console

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)


def say(text: str) -> None:
    """Print a remark to standard error, apart from the results of a command."""
    err.print(text, style="dim", markup=False)
