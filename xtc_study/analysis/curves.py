"""Read the loss curves that runs recorded into one frame."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

KINDS = {"run_id": "str", "phase": "str", "stage": "int64", "step": "int64", "term": "str", "value": "float64"}
NO_LOSSES = ("learning rate", "dev score")
"""Terms of a curve that are not losses."""


def curves(runs_folder: Path, run_ids: Iterable[str]) -> pd.DataFrame:
    """Return one row per run, recorded step and term, in the order trained.

    Columns: run_id, phase, stage, step, term, value. A run whose ``curve.csv`` is missing or cannot be read has no
    rows, because its score does not depend on the curve.
    """
    frames = []
    for run_id in dict.fromkeys(run_ids):
        try:
            frames.append(
                pd.read_csv(runs_folder / run_id / "curve.csv").assign(run_id=run_id)[list(KINDS)].astype(KINDS)
            )
        except (OSError, ValueError, KeyError):  # pandas' own errors are ValueErrors
            continue
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(KINDS)).astype(KINDS)


def last_losses(curve: pd.DataFrame) -> pd.DataFrame:
    """Return the last recorded value of each loss term, without the teacher's training: rows are runs, columns terms.

    Args:
        curve: what ``curves`` returned.
    """
    losses = curve[curve["phase"].ne("teacher") & ~curve["term"].isin(NO_LOSSES)]
    return losses.groupby(["run_id", "term"])["value"].last().unstack()
