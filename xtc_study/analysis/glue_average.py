"""The GLUE average as the compression literature defines it: the mean of nine columns, with MNLI counted twice.

The paper's teacher average, 83.95, matches the mean of nine columns (MNLI-m and MNLI-mm separately, accuracy for QQP
and MRPC, Pearson for STS-B), not a mean over eight tasks. Papers differ, so an average is compared only with an
average of the same columns.
"""

from __future__ import annotations

import pandas as pd

NINE_COLUMNS: dict[tuple[str, str], str] = {
    ("cola", "dev"): "matthews",
    ("mnli", "matched"): "accuracy",
    ("mnli", "mismatched"): "accuracy",
    ("mrpc", "dev"): "accuracy",
    ("qnli", "dev"): "accuracy",
    ("qqp", "dev"): "accuracy",
    ("rte", "dev"): "accuracy",
    ("sst2", "dev"): "accuracy",
    ("stsb", "dev"): "pearson",
}
"""By task and split, the metric of its column."""


def glue_averages(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per arm and seed that has all nine columns: arm, seed, value (in the metric's scale).

    Args:
        frame: rows of ``collect``; metrics outside the nine columns are ignored.
    """
    keys = pd.MultiIndex.from_frame(frame[["task", "split"]])
    wanted = pd.Series([NINE_COLUMNS.get(key) for key in keys], index=frame.index)
    columns = frame[frame["metric"] == wanted]
    grouped = columns.groupby(["arm", "seed"], sort=False)["value"].agg(["mean", "size"]).reset_index()
    whole = grouped[grouped["size"] == len(NINE_COLUMNS)]
    return whole.rename(columns={"mean": "value"})[["arm", "seed", "value"]].reset_index(drop=True)


def average_of(frame: pd.DataFrame, arm: str) -> float:
    """Return the arm's nine-column average, the mean over seeds; NaN if no seed has all nine columns."""
    averages = glue_averages(frame)
    return float(averages.loc[averages["arm"] == arm, "value"].mean())


def is_whole_glue(frame: pd.DataFrame) -> bool:
    """Return whether the primary metrics of the frame are exactly the nine columns: then their mean is the average."""
    primary = frame[frame["is_primary"]]
    columns = {
        (row.task, row.split): row.metric for row in primary[["task", "split", "metric"]].itertuples(index=False)
    }
    return columns == NINE_COLUMNS
