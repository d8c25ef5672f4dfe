"""Several studies of one profile at once: what they share is carried out, and counted, once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

import pandas as pd

from xtc_study.runs.carry_out import RunFilter, carry_out
from xtc_study.runs.outcomes import Outcome
from xtc_study.studies import PlannedRun, study_names
from xtc_study.study import Study
from xtc_study.study_runs import judged

if TYPE_CHECKING:
    from xtc_study.runs.cost import Cost


def all_studies(profile: str = "smoke", overrides: Mapping[str, Any] | None = None, **chosen: Any) -> list[Study]:
    """Return every study at a profile's scale.

    Args:
        profile: its name.
        overrides: recipe fields for all of them.
        chosen: places, tasks, seeds and so on, as for ``Study``.
    """
    return [Study(name, profile, overrides=overrides, **chosen) for name in study_names()]


def outcomes_of(
    studies: Sequence[Study],
    runs: Mapping[str, PlannedRun],
    workers: int | None = None,
    executor: Executor | None = None,
    which: RunFilter | None = None,
    timeout: float | None = None,
) -> Iterator[Outcome]:
    """Carry out one round of the studies' runs (``study_runs.rounds``) and yield each outcome as it comes.

    Args:
        studies: with the same places, device and precision.
        runs: of the round, by id; what studies share is carried out once.
        workers: as for ``Study.run``, and so are executor, which and timeout.

    Raises:
        ModelError, StudyError: a model that is not there.
        DataError: arms that augment with synonyms, without a synonym table.
    """
    recipes = [run.recipe for run in runs.values()]
    redo = which is not None and which.force
    return map(judged, carry_out(recipes, studies[0].places, studies[0].compute, workers, executor, timeout, redo))


def cost_together(studies: Sequence[Study]) -> Cost:
    """Return steps and training seconds of several studies of one profile, each alone and all shared, with trials."""
    from xtc_study.runs.cost import cost_of

    recipes = {run.run_id: run.recipe for one in studies for run in [*one.trials, *one.planned]}
    return cost_of(list(recipes.values()), studies[0].places, studies[0].compute.device)


def progress(studies: Sequence[Study]) -> pd.DataFrame:
    """Return one row per study: its question, runs planned, done and failed, and the minutes that its done runs took.

    ``minutes`` is what was measured here, NaN if no run is done. A run that several studies share counts in each.
    """
    rows = []
    for study in studies:
        states = study.states().drop_duplicates("run_id")["state"]
        seconds = study.collect().drop_duplicates("run_id")["duration_s"]
        rows.append(
            {
                "study": study.spec.name,
                "question": study.spec.question,
                "runs": len(states),
                "done": len(seconds),
                "failed": int(states.isin(["failed", "corrupt"]).sum()),
                "minutes": seconds.sum() / 60 if len(seconds) else float("nan"),
            }
        )
    return pd.DataFrame(rows, columns=["study", "question", "runs", "done", "failed", "minutes"])


def most_done(table: pd.DataFrame, names: Sequence[str]) -> str:
    """Return the study with the largest share of its planned runs done; of equal ones that with more. Empty if none.

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
