"""How long tests wait for an event: until it comes. The bound is one that only a hang reaches, on any machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

HANG_SECONDS = 300.0

Value = TypeVar("Value")


def wait_for(condition: Callable[[], Value]) -> Value:
    """What the condition gives, once that is true."""
    deadline = time.monotonic() + HANG_SECONDS
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"it did not happen within {HANG_SECONDS:.0f} seconds")
