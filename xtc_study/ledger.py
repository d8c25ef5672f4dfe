"""What all studies of a profile say: the ledger of claims, and every arm's score summed up robustly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from xtc_study.analysis.aggregate import interquartile_mean, probability_of_improvement
from xtc_study.studies import load_study, study_names
from xtc_study.study import Study

LEDGER_COLUMNS = {
    **dict.fromkeys(("study", "claim", "verdict"), "str"),
    **dict.fromkeys(("difference", "low", "high", "detectable", "margin", "bound", "p_adjusted"), "float64"),
    **dict.fromkeys(("seeds", "examples"), "int64"),
    **dict.fromkeys(("source", "told", "reasons"), "str"),
}


def all_studies(profile: str = "smoke", overrides: Mapping[str, Any] | None = None, **chosen: Any) -> list[Study]:
    """Every study at a profile's scale.

    Args:
        overrides: recipe fields for all of them. chosen: places, tasks, seeds and so on, as for ``Study``.
    """
    return [Study(name, profile, overrides=overrides, **chosen) for name in study_names()]


def ledger(studies: Sequence[Study]) -> pd.DataFrame:
    """One row a claim: study, claim, verdict, difference with its interval in points, ``detectable`` (the smallest
    difference that would have been seen in 80 % of cases), margin, ``bound`` (the value of the difference at which the
    claim turns: the margin with its sign), Holm's p-value, the smallest number of seeds, dev examples, where the claim
    is from, and the verdict and its reasons as a reader sees them. Claims that were not run have NaN and 0.
    """
    rows = []
    for study in studies:
        answers = study.answers(study.collect())
        for answer, claim in zip(answers, study.spec.claims, strict=True):
            found = answer.difference
            numbers = (found.mean, found.low, found.high, found.detectable) if found else (float("nan"),) * 4
            rows.append(
                (
                    *(study.name, answer.claim, answer.verdict, *(100 * number for number in numbers)),
                    *(100 * claim.margin, 100 * claim.margin * (1 if claim.kind == "higher" else -1)),
                    answer.p_adjusted,
                    *((found.n_seeds, found.n_examples) if found else (0, 0)),
                    *(claim.source, answer.told, answer.reasons),
                )
            )
    return pd.DataFrame(rows, columns=list(LEDGER_COLUMNS)).astype(LEDGER_COLUMNS)


def standing(studies: Sequence[Study]) -> pd.DataFrame:
    """One row a study: its question, runs planned, done and failed, and the minutes that its done runs took.

    ``minutes`` is what was measured here, NaN where nothing is done. A run that several studies share counts in each.
    """
    rows = []
    for study in studies:
        runs = study.states().drop_duplicates("run_id")
        took = study.collect().drop_duplicates("run_id")["duration_s"]
        failed = runs["state"].isin(["failed", "corrupt"])
        minutes = took.sum() / 60 if len(took) else float("nan")
        rows.append((study.name, study.spec.question, len(runs), len(took), int(failed.sum()), minutes))
    return pd.DataFrame(rows, columns=["study", "question", "runs", "done", "failed", "minutes"])


def most_done(table: pd.DataFrame, names: Sequence[str]) -> str:
    """The study with the largest share of its planned runs done, of equal ones that with more runs; empty if none.

    Runs that studies share count in each, so that the first study with a done run may be one that nobody asked for.

    Args:
        table: what ``standing`` gave. names: the studies to choose from.
    """
    some = table[table["study"].isin(list(names)) & (table["done"] > 0)]
    if some.empty:
        return ""
    ranked = some.assign(share=some["done"] / some["runs"]).sort_values(["share", "done"], kind="stable")
    return str(ranked["study"].iloc[-1])


def robust_scores(study: Study, frame: pd.DataFrame) -> pd.DataFrame:
    """One row an arm with every task and at least one whole seed: the interquartile mean over seeds and tasks,
    and how likely a run of it beats one of the reference. Scores in points.

    Args:
        frame: what ``study.collect`` gave.
    """
    primary = frame[frame["is_primary"]]
    columns = primary[["task", "split"]].drop_duplicates()
    scores: dict[str, Any] = {}
    for arm, rows in primary.groupby("arm", sort=False):
        cells = rows.pivot_table(index="seed", columns=["task", "split"], values="value").dropna()
        if cells.shape[1] == len(columns) and len(cells):
            scores[str(arm)] = cells.to_numpy()
    reference = scores.get(study.spec.reference)
    found = []
    for arm, values in scores.items():
        beats = float("nan") if reference is None else probability_of_improvement(values, reference)
        found.append((arm, 100 * interquartile_mean(values), beats, len(values)))
    return pd.DataFrame(found, columns=["arm", "iqm", "beats_reference", "seeds"])


def titles() -> dict[str, str]:
    """Study to the question it asks, for tables."""
    return {name: load_study(name).question for name in study_names()}
