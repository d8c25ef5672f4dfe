"""Warnings that the scores alone do not give: runs that predict one class for every row, and texts that were cut."""

from __future__ import annotations

import pandas as pd

from xtc_study.tasks.lengths import MOST_CUT


def notices_of(frame: pd.DataFrame) -> list[str]:
    """Return one sentence per warning, for a page's limits.

    Args:
        frame: rows of ``analysis.collect.collect``.
    """
    primary = frame[frame["is_primary"]]
    return [*_one_answer(primary), *_cut(primary)]


def _one_answer(primary: pd.DataFrame) -> list[str]:
    notices = []
    constant = primary[primary["one_answer"].notna()]
    for (task, split, answer), rows in constant.groupby(["task", "split", "one_answer"], sort=False):
        arms = []
        for arm, arm_rows in rows.groupby("arm", sort=False):
            seeds = sorted(arm_rows["seed"])
            arms.append(f"{arm} (seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))})")
        notices.append(
            f"These runs predict {str(answer)!r} for every row of {task} {split}: {', '.join(arms)}. Such a model "
            "cannot tell any two texts apart: its Matthews correlation, or its correlation with the labels, is 0, "
            "whatever its score."
        )
    return notices


def _cut(primary: pd.DataFrame) -> list[str]:
    notices = []
    cut = primary.assign(share=primary["rows_cut"].astype("float64") / primary["n_examples"])
    for (task, split, length), rows in cut[cut["share"] > MOST_CUT].groupby(
        ["task", "split", "max_length"], sort=False
    ):
        notices.append(
            f"{rows['share'].max():.0%} of the rows of {task} {split} are longer than max_length={length} tokens and "
            "were cut to that length."
        )
    return notices
