"""Whether each arm differs from the reference at all, and whether by as much as matters: two questions, one table."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from xtc_study.analysis.claims import p_text
from xtc_study.analysis.stats import Difference, holm, p_no_difference, points


def effects(differences: Mapping[str, Difference], margin: float = 0.01) -> pd.DataFrame:
    """One row an arm, in the order given: points, 95 % interval, interval (and zero), size of the effect, p (Holm).

    The p-value is that of "there is no difference", two-sided, adjusted for the number of arms; the
    intervals are not adjusted.

    Args:
        differences: arm to arm minus reference, in the metric's scale.
        margin: how much matters; 0.01 is one point.
    """
    adjusted = holm([p_no_difference(found) for found in differences.values()])
    point = "a point" if margin == 0.01 else f"{100 * margin:g} points"
    rows = []
    for found, p in zip(differences.values(), adjusted, strict=True):
        effect = "above zero" if found.low > 0 else "below zero" if found.high < 0 else "holds zero"
        size = "not known"
        if max(-found.low, found.high) < margin:
            size = f"surely within {point}"
        elif found.low > margin or found.high < -margin:
            size = f"surely more than {point}"
        rows.append(
            {
                "points": points(found.mean),
                "95 % interval": f"{points(found.low)} to {points(found.high)}",
                "interval": effect,
                "size of the effect": size,
                "p (Holm)": p_text(p),
            }
        )
    columns = ["points", "95 % interval", "interval", "size of the effect", "p (Holm)"]
    return pd.DataFrame(rows, columns=columns, index=pd.Index(list(differences), name="arm"))
