"""The tables of the summary notebook as text: the Pareto front, and robust means."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from xtc_study.analysis.pareto import ParetoPoint
from xtc_study.report.tables import MISSING, score_text


def pareto_text(points: Sequence[ParetoPoint]) -> pd.DataFrame:
    """Return one row per point, the smallest file first: arm, study, score and teacher in points, whole bytes."""
    ranked = sorted(points, key=lambda point: point.size_bytes)
    return pd.DataFrame(
        {
            "Arm": [point.arm for point in ranked],
            "Study": [point.study for point in ranked],
            "Score": [score_text(point.score) for point in ranked],
            "Teacher": [score_text(point.teacher) for point in ranked],
            "Bytes": [f"{point.size_bytes:,.0f}" for point in ranked],
        }
    )


def robust_text(scores: pd.DataFrame) -> pd.DataFrame:
    """Return ``analysis.aggregate.robust_scores`` as text; a dash if the reference is not done."""
    return pd.DataFrame(
        {
            "Arm": list(scores["arm"]),
            "Interquartile mean": [score_text(value / 100) for value in scores["iqm"]],
            "Beats reference": [MISSING if pd.isna(value) else f"{value:.2f}" for value in scores["beats_reference"]],
            "Seeds": [str(seeds) for seeds in scores["seeds"]],
        }
    )
