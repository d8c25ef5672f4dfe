"""Claims as a reader sees them: the numbers beside a verdict, and the ledger of claims in a notebook."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import pandas as pd
from pandas.io.formats.style import Styler

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


def ledger_text(ledger: pd.DataFrame) -> pd.DataFrame:
    """The claims that were put to the test, whole: Study, Claim, Source, Verdict, Difference, Why. Text in every cell.

    Args:
        ledger: ``analysis.ledger.ledger_of``.
    """
    run = ledger[ledger["verdict"] != "not run"]
    numbers = zip(run["difference"] / 100, run["low"] / 100, run["high"] / 100, strict=True)
    verdicts = [f"{SIGNS[verdict]} {label}" for verdict, label in zip(run["verdict"], run["label"], strict=True)]
    return pd.DataFrame(
        {
            "Study": list(run["study"]),
            "Claim": list(run["claim"]),
            "Source": list(run["source"]),
            "Verdict": verdicts,
            "Difference": [difference_text(*each) or "\N{EN DASH}" for each in numbers],
            "Why": list(run["reasons"]),
        }
    )


def not_run_words(ledger: pd.DataFrame) -> str:
    """How many claims of which studies were not put to the test, in a sentence; empty where none."""
    left = ledger[ledger["verdict"] == "not run"]
    if left.empty:
        return ""
    count = f"{len(left)} claim{'s' if len(left) > 1 else ''}"
    return f"{count} not put to the test yet, of {', '.join(dict.fromkeys(left['study']))}."


def ledger_table(ledger: pd.DataFrame, notebooks: Mapping[str, str]) -> Styler:
    """``ledger_text`` for a notebook: escaped, nothing cut off, prose on the left, each study a link.

    Args:
        ledger: ``analysis.ledger.ledger_of``.
        notebooks: by study, the file name of its notebook.
    """

    def link(study: object) -> str:
        return f'<a href="{quote(notebooks.get(str(study), ""))}">{html.escape(str(study))}</a>'

    text = ledger_text(ledger)
    style = text.style.hide(axis="index").format(escape="html").format(link, subset=["Study"])
    prose: dict[str, Any] = {"text-align": "left", "vertical-align": "top", "white-space": "normal"}
    heads: list[Any] = [{"selector": "th", "props": "text-align: left"}]
    style = style.set_properties(**prose).set_table_styles(heads)
    style = style.set_properties(subset=["Claim", "Source", "Why"], **{"min-width": "13em"})
    style = style.set_properties(subset=["Verdict"], **{"font-weight": "bold"})
    return style.set_caption(html.escape(not_run_words(ledger)) or "Every claim was put to the test.")
