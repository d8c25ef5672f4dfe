"""Where commands print: answers to standard output, messages to standard error. A line is never wrapped."""

from __future__ import annotations

from rich.console import Console

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)


def say(text: str) -> None:
    """Print a remark, beside what a command is asked for."""
    err.print(text, style="dim", markup=False)
