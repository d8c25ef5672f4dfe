"""What all studies of a profile say: how far each has come, and the ledger of their claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from xtc_study.analysis.ledger import ledger_of
from xtc_study.studies import study_names
from xtc_study.study import Study


def all_studies(profile: str = "smoke", overrides: Mapping[str, Any] | None = None, **chosen: Any) -> list[Study]:
    """Every study at a profile's scale.

    Args:
        profile: its name.
        overrides: recipe fields for all of them.
        chosen: places, tasks, seeds and so on, as for ``Study``.
    """
    return [Study(name, profile, overrides=overrides, **chosen) for name in study_names()]


def ledger(studies: Sequence[Study]) -> pd.DataFrame:
    """One row a claim of these studies (see ``analysis.ledger.ledger_of``)."""
    return ledger_of({one.name: one.page().answers for one in studies})


def progress(studies: Sequence[Study]) -> pd.DataFrame:
    """One row a study: its question, runs planned, done and failed, and the minutes that its done runs took.

    ``minutes`` is what was measured here, NaN where nothing is done. A run that several studies share counts in each.
    """
    rows = []
    for study in studies:
        states = study.states().drop_duplicates("run_id")["state"]
        seconds = study.collect().drop_duplicates("run_id")["duration_s"]
        rows.append(
            {
                "study": study.name,
                "question": study.spec.question,
                "runs": len(states),
                "done": len(seconds),
                "failed": int(states.isin(["failed", "corrupt"]).sum()),
                "minutes": seconds.sum() / 60 if len(seconds) else float("nan"),
            }
        )
    return pd.DataFrame(rows, columns=["study", "question", "runs", "done", "failed", "minutes"])


def most_done(table: pd.DataFrame, names: Sequence[str]) -> str:
    """The study with the largest share of its planned runs done, of equal ones that with more runs; empty if none.

    Runs that studies share count in each, so that the first study with a done run may be one that was not asked for.

    Args:
        table: what ``progress`` gave.
        names: the studies to choose from.
    """
    some = table[table["study"].isin(list(names)) & (table["done"] > 0)]
    if some.empty:
        return ""
    ranked = some.assign(share=some["done"] / some["runs"]).sort_values(["share", "done"], kind="stable")
    return str(ranked["study"].iloc[-1])
