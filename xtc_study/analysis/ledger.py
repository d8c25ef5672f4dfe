"""The ledger of claims: one table of every claim of several studies, its verdict and the numbers behind it."""

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
    """Return one row per claim, with the columns ``LEDGER_COLUMNS``; claims that were not run have NaN and 0.

    - study; claim (its sentence); verdict
    - ``difference``, ``low``, ``high``: arm minus reference and its 95 % interval, in points
    - ``detectable``: the smallest difference detected in 80 % of cases, in points
    - ``margin`` and ``bound``: the claimed margin, and the same with its sign, which the difference is tested
      against; both in points
    - ``p_adjusted``: Holm's p-value
    - ``seeds``: the smallest number over the tasks; ``examples``: of the dev splits
    - source; ``label`` and reasons: the verdict and why, as pages show them

    Args:
        answers: by study, the answers to its claims.
    """
    rows = [_row(study, answer) for study, study_answers in answers.items() for answer in study_answers]
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
