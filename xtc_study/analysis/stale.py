"""Done runs that another version of the method or of the recipe made than today's code is."""

from __future__ import annotations

import pandas as pd

from xtc_study.compress.method_version import METHOD_VERSION
from xtc_study.recipe import VERSION


def stale_runs(frame: pd.DataFrame, method: int = METHOD_VERSION, recipe: int = VERSION) -> dict[str, str]:
    """By run id, in words, which version of the method or of the recipe made a run that is not today's.

    A stale run still counts: its id is of the same recipe. But today's code would give other numbers, so it
    is shown. The commit of a run does not show that, for most commits change no number; provenance lists it.

    Args:
        frame: rows of ``analysis.collect.collect``.
        method: the method's version in today's code.
        recipe: the recipe's version in today's code.
    """
    found = {}
    for run in frame.drop_duplicates("run_id").itertuples():
        differs = [
            f"{what} version {then}, now {now}"
            for what, then, now in (("method", run.method_version, method), ("recipe", run.recipe_version, recipe))
            if then != now
        ]
        if differs:
            found[str(run.run_id)] = "; ".join(differs)
    return found
