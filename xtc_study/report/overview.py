"""The tables of the notebooks that sum all studies up: how far each is, and the second opinion on the means."""

from __future__ import annotations

import pandas as pd

from xtc_study.report.tables import MISSING, PageTable, score_text


def progress_table(progress: pd.DataFrame, *, started_only: bool = False) -> PageTable:
    """How far each study is.

    Args:
        progress: ``suite.progress``.
        started_only: leave out studies without a done or failed run, and count them.
    """
    shown, caption = progress, "One row a study. Runs that several studies share count in each of them."
    if started_only:
        shown = progress[progress[["done", "failed"]].any(axis=1)]
        caption = (
            f"{len(progress) - len(shown)} of {len(progress)} studies have no done or failed run and are not listed."
        )
    text = {
        "Study": list(shown["study"]),
        "Question": list(shown["question"]),
        "Runs": [str(count) for count in shown["runs"]],
        "Done": [str(count) for count in shown["done"]],
        "Failed": [str(count) for count in shown["failed"]],
        "Minutes": [MISSING if pd.isna(minutes) else f"{minutes:.1f}" for minutes in shown["minutes"]],
    }
    return PageTable(pd.DataFrame(text), caption)


def robust_table(scores: pd.DataFrame, title: str) -> PageTable:
    """The interquartile mean of each arm; a dash where the reference is not done.

    Args:
        scores: ``analysis.aggregate.robust_scores``.
        title: of the study.
    """
    if scores.empty:
        return PageTable(pd.DataFrame(), "No run is done yet, so there is nothing to average.")
    text = {
        "Arm": list(scores["arm"]),
        "Interquartile mean": [score_text(value / 100) for value in scores["iqm"]],
        "Beats reference": [MISSING if pd.isna(value) else f"{value:.2f}" for value in scores["beats_reference"]],
        "Seeds": [str(seeds) for seeds in scores["seeds"]],
    }
    return PageTable(pd.DataFrame(text), f"{title} In points.")
