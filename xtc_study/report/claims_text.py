"""A claim's verdict and numbers as text."""

from __future__ import annotations

import math

from xtc_study.analysis.claims import Answer
from xtc_study.analysis.stats import points

SIGNS = {"supported": "✓", "contradicted": "✗", "undecided": "?", "not run": "\N{EN DASH}"}


def numbers_of(answer: Answer) -> str:
    """The difference that decided, in points, with its interval; empty where the arms cannot be compared yet."""
    found = answer.difference
    return "" if found is None else difference_text(found.mean, found.low, found.high)


def difference_text(mean: float, low: float, high: float) -> str:
    """In the metric's scale: 0.0123, 0.001 and 0.02 give ``+1.23 points (+0.10 to +2.00)``."""
    if math.isnan(mean):
        return ""
    bounds = "" if math.isnan(low) or math.isnan(high) else f" ({points(low)} to {points(high)})"
    return f"{points(mean)} points{bounds}"
