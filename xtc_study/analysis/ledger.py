"""The ledger of claims: every claim of several studies with its verdict and the numbers behind it, in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from xtc_study.analysis.claims import Answer

LEDGER_COLUMNS = {
    **dict.fromkeys(("study", "claim", "verdict"), "str"),
    **dict.fromkeys(("difference", "low", "high", "detectable", "margin", "bound", "p_adjusted"), "float64"),
    **dict.fromkeys(("seeds", "examples"), "int64"),
    **dict.fromkeys(("source", "label", "reasons"), "str"),
}


def ledger_of(answers: Mapping[str, Sequence[Answer]]) -> pd.DataFrame:
    """One row a claim, with the columns ``LEDGER_COLUMNS``; claims that were not run have NaN and 0.

    Columns: study; claim (its sentence); verdict; ``difference``, ``low``, ``high`` (arm minus reference and its 95 %
    interval, in points); ``detectable`` (the smallest difference that would have been seen in 80 % of cases, in
    points); ``margin`` and ``bound`` (the value of the difference at which the claim turns: the margin with its sign,
    both in points); ``p_adjusted`` (Holm's p-value); ``seeds`` (the smallest number over the tasks); ``examples``
    (of the dev splits); source; ``label`` and reasons (the verdict and why, as a reader sees them).

    Args:
        answers: by study, its claims put to the test.
    """
    rows = [_row(study, answer) for study, found in answers.items() for answer in found]
    return pd.DataFrame(rows, columns=list(LEDGER_COLUMNS)).astype(LEDGER_COLUMNS)


def _row(study: str, answer: Answer) -> dict[str, Any]:
    claim, difference = answer.claim, answer.difference
    row: dict[str, Any] = {
        "study": study,
        "claim": claim.sentence,
        "verdict": answer.verdict,
        "margin": 100 * claim.margin,
        "bound": 100 * claim.bound,
        "p_adjusted": answer.p_adjusted,
        "seeds": 0,
        "examples": 0,
        "source": claim.source,
        "label": answer.label,
        "reasons": answer.reasons,
    }
    if difference is None:
        return row
    return row | {
        "difference": 100 * difference.mean,
        "low": 100 * difference.low,
        "high": 100 * difference.high,
        "detectable": 100 * difference.detectable,
        "seeds": difference.n_seeds,
        "examples": difference.n_examples,
    }
