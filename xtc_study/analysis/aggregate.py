"""Robust means over tasks, which one outlying run cannot move far (Agarwal et al., NeurIPS 2021)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import trim_mean

Array = npt.NDArray[np.float64]


def interquartile_mean(scores: Array) -> float:
    """Return the mean of the middle half of all scores (the IQM of rliable).

    Args:
        scores: (seeds, tasks), pooled before the outer quarters are cut off.
    """
    return float(trim_mean(np.asarray(scores, dtype=np.float64), 0.25, axis=None))


def probability_of_improvement(arm: Array, reference: Array) -> float:
    """Return the probability that a run of the arm beats a run of the reference, averaged over tasks.

    Ties count half.

    Args:
        arm: (seeds, tasks).
        reference: (seeds, tasks); the number of seeds may differ.
    """
    better = (arm[:, None, :] > reference[None, :, :]).mean((0, 1))
    equal = (arm[:, None, :] == reference[None, :, :]).mean((0, 1))
    return float((better + equal / 2).mean())


def robust_scores(frame: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Return one row per arm with robust scores, to check its plain mean against.

    Only seeds with every task done count; an arm without one has no row.

    Columns: arm; ``iqm`` (``interquartile_mean`` over seeds and tasks, in points); ``beats_reference``
    (``probability_of_improvement`` over the reference; NaN where the reference has no complete seed); ``seeds``.

    Args:
        frame: rows of ``analysis.collect.collect``, of one study.
        reference: the arm that the others are compared with.
    """
    primary = frame[frame["is_primary"]]
    expected = len(primary[["task", "split"]].drop_duplicates())

    # (seeds, tasks) of each arm: only seeds with every task, so that all means are over the same tasks.
    scores: dict[str, Array] = {}
    for arm, rows in primary.groupby("arm", sort=False):
        cells = rows.pivot_table(index="seed", columns=["task", "split"], values="value").dropna()
        if cells.shape[1] == expected and len(cells):
            scores[str(arm)] = cells.to_numpy()

    records: list[dict[str, Any]] = []
    for arm, values in scores.items():
        beats = float("nan")
        if reference in scores:
            beats = probability_of_improvement(values, scores[reference])
        records.append(
            {"arm": arm, "iqm": 100 * interquartile_mean(values), "beats_reference": beats, "seeds": len(values)}
        )
    return pd.DataFrame(records, columns=["arm", "iqm", "beats_reference", "seeds"])
