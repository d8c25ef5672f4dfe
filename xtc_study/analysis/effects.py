"""Tabulate whether each arm differs from the reference at all, and whether it differs by as much as matters."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from xtc_study.analysis.claims import p_text
from xtc_study.analysis.stats import Difference, holm, p_no_difference, points


def effects(differences: Mapping[str, Difference], margin: float = 0.01) -> pd.DataFrame:
    """Return one row per arm, in the order given.

    Columns: points; 95 % interval; interval (whether it lies above, below or around zero); size of the effect; p
    (Holm). The p-value is two-sided, of "there is no difference", and adjusted for the number of arms; the intervals
    are not adjusted.

    Args:
        differences: by arm, arm minus reference, in the metric's scale.
        margin: the smallest difference that matters; 0.01 is one point.
    """
    adjusted = holm([p_no_difference(difference) for difference in differences.values()])
    point = "a point" if margin == 0.01 else f"{100 * margin:g} points"
    rows = []
    for difference, p in zip(differences.values(), adjusted, strict=True):
        effect = "above zero" if difference.low > 0 else "below zero" if difference.high < 0 else "holds zero"
        size = "not known"
        if max(-difference.low, difference.high) < margin:
            size = f"surely within {point}"
        elif difference.low > margin or difference.high < -margin:
            size = f"surely more than {point}"
        rows.append(
            {
                "points": points(difference.mean),
                "95 % interval": f"{points(difference.low)} to {points(difference.high)}",
                "interval": effect,
                "size of the effect": size,
                "p (Holm)": p_text(p),
            }
        )
    columns = ["points", "95 % interval", "interval", "size of the effect", "p (Holm)"]
    return pd.DataFrame(rows, columns=columns, index=pd.Index(list(differences), name="arm"))
