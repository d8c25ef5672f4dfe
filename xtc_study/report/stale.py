"""Done runs that another state of the code made than the newest run of their study."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd


def stale_runs(frame: pd.DataFrame) -> dict[str, str]:
    """By run id, in words, how the code that made a run differs from that of the newest run.

    The newest run is the one that started last. A run is stale if its version of xtc-study or its commit is another;
    what a run has not recorded is not compared. A stale run still counts: its id says that the recipe and what the
    recipe means (``recipe.VERSION``) are the same. But code that changed may explain a difference, so it is shown.

    Args:
        frame: rows of ``analysis.collect.collect``.
    """
    runs = frame.drop_duplicates("run_id").sort_values("started", kind="stable")
    if runs.empty:
        return {}
    made = {str(run.run_id): _made_by(run) for run in runs.itertuples()}
    newest = next(reversed(made.values()))
    found = {}
    for run_id, code in made.items():
        differs = [
            f"{what} {code[what]}, the newest run {newest[what]}"
            for what in code
            if code[what] and newest[what] and code[what] != newest[what]
        ]
        if differs:
            found[run_id] = "; ".join(differs)
    return found


def _made_by(run: Any) -> dict[str, str]:
    return {
        "version": str(json.loads(run.versions).get("xtc-study", "")),
        "commit": run.commit if isinstance(run.commit, str) else "",
    }
