"""Find done runs that were made by another version of the method or of the recipe than the current one."""

from __future__ import annotations

import pandas as pd

from xtc_study.compress.method_version import METHOD_VERSION
from xtc_study.recipe import VERSION


def stale_runs(frame: pd.DataFrame, method: int = METHOD_VERSION, recipe: int = VERSION) -> dict[str, str]:
    """Return, by run id, which versions of the method or recipe differ from the current ones, in words.

    A stale run still counts, because its recipe is the same. But the current code would give other numbers, so it is
    marked. The commit of a run does not show this, because most commits change no number; provenance lists it.

    Args:
        frame: rows of ``analysis.collect.collect``.
        method: the current version of the method.
        recipe: the current version of the recipe.
    """
    stale = {}
    for run in frame.drop_duplicates("run_id").itertuples():
        differs = [
            f"{what} version {then}, now {now}"
            for what, then, now in (("method", run.method_version, method), ("recipe", run.recipe_version, recipe))
            if then != now
        ]
        if differs:
            stale[str(run.run_id)] = "; ".join(differs)
    return stale
