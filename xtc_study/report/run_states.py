"""What a notebook shows of a study's runs: how many are in each state, and what carrying them out came to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from xtc_study.report.markup import paragraph, table_html
from xtc_study.report.tables import PageTable
from xtc_study.runs.outcomes import Outcome


@dataclass(frozen=True, repr=False)
class RunOutcomes:
    """The outcomes of the runs that were carried out, and the runs of the study that failed, then or before."""

    outcomes: Sequence[Outcome]
    """One for each run that was not done before."""
    failures: PageTable
    """Run, arm, task, seed, state and error of every failed or damaged run."""

    @property
    def failed(self) -> int:
        """How many of ``outcomes`` failed."""
        return sum(outcome["state"] == "failed" for outcome in self.outcomes)

    def __str__(self) -> str:
        count = len(self.outcomes)
        return f"{count} run{'' if count == 1 else 's'} carried out, {self.failed} failed."

    def _repr_html_(self) -> str:
        return paragraph(str(self)) + table_html(self.failures)

    def __repr__(self) -> str:
        return f"{self}\n\n{self.failures!r}"


def states_table(states: pd.DataFrame) -> PageTable:
    """How many runs of each task and arm are in each state.

    Args:
        states: ``analysis.collect.states``.
    """
    counts = states.groupby(["task", "arm", "state"], sort=False).size().unstack(fill_value=0).reset_index()
    text = counts.astype(str).rename(columns=str.capitalize)
    return PageTable(text, f"Runs by state, {states['run_id'].nunique():,} in all.")


def failed_runs(states: pd.DataFrame) -> PageTable:
    """The runs that failed or whose files are damaged, and why.

    Args:
        states: ``analysis.collect.states``.
    """
    bad = states[states["state"].isin(["failed", "corrupt"])].drop_duplicates("run_id")
    if bad.empty:
        return PageTable(pd.DataFrame(), "No run of this study has failed.")
    text = bad[["run_id", "arm", "task", "seed", "state", "error"]].astype(str)
    names = {"run_id": "Run", "arm": "Arm", "task": "Task", "seed": "Seed", "state": "State", "error": "Error"}
    return PageTable(text.rename(columns=names), "Runs that failed. Each is tried again when the study is run again.")
