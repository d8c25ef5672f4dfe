"""What a study's scores do not show by themselves: runs with one answer for every row, and texts that were cut."""

from __future__ import annotations

import pandas as pd

from xtc_study.tasks.lengths import MOST_CUT


def notices_of(frame: pd.DataFrame) -> list[str]:
    """A sentence each, for a page's limits.

    Args:
        frame: rows of ``analysis.collect.collect``.
    """
    primary = frame[frame["is_primary"]]
    return [*_one_answer(primary), *_cut(primary)]


def _one_answer(primary: pd.DataFrame) -> list[str]:
    found = []
    blind = primary[primary["one_answer"].notna()]
    for (task, split, answer), rows in blind.groupby(["task", "split", "one_answer"], sort=False):
        arms = []
        for arm, of_arm in rows.groupby("arm", sort=False):
            seeds = sorted(of_arm["seed"])
            arms.append(f"{arm} (seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))})")
        found.append(
            f"One answer for every row of {task} {split}, {str(answer)!r}: {', '.join(arms)}. Such a model tells no "
            "two texts apart: its Matthews correlation, or its correlation with the labels, is 0, whatever the score."
        )
    return found


def _cut(primary: pd.DataFrame) -> list[str]:
    found = []
    cut = primary.assign(share=primary["rows_cut"].astype("float64") / primary["n_examples"])
    for (task, split, length), rows in cut[cut["share"] > MOST_CUT].groupby(
        ["task", "split", "max_length"], sort=False
    ):
        found.append(
            f"{rows['share'].max():.0%} of the rows of {task} {split} are longer than max_length={length} tokens "
            "and were read in part."
        )
    return found
