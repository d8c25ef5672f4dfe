"""How the losses of runs fell: the curves that they recorded, in one frame."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

KINDS = {"run_id": "str", "phase": "str", "stage": "int64", "step": "int64", "term": "str", "value": "float64"}
NO_LOSSES = ("learning rate", "dev score")
"""Terms of a curve that are recorded beside the losses."""


def curves(runs_folder: Path, run_ids: Iterable[str]) -> pd.DataFrame:
    """One row a recorded step and term of each run: run_id, phase, stage, step, term, value; in the order trained.

    A run whose ``curve.csv`` is missing or cannot be read has no rows: a score does not need it.
    """
    found = []
    for run_id in dict.fromkeys(run_ids):
        try:
            found.append(
                pd.read_csv(runs_folder / run_id / "curve.csv").assign(run_id=run_id)[list(KINDS)].astype(KINDS)
            )
        except (OSError, ValueError, KeyError):  # pandas' own errors are ValueErrors
            continue
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=list(KINDS)).astype(KINDS)


def last_losses(curve: pd.DataFrame) -> pd.DataFrame:
    """One row a run, one column a loss term: its last recorded value, of the student's training alone.

    Args:
        curve: what ``curves`` gave.
    """
    losses = curve[curve["phase"].ne("teacher") & ~curve["term"].isin(NO_LOSSES)]
    return losses.groupby(["run_id", "term"])["value"].last().unstack()
