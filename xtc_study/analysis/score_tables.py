"""The tables of a study as numbers: by arm, by arm and task, and by planned run."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from xtc_study.analysis.stats import Difference, holm, p_no_difference
from xtc_study.analysis.teachers import teachers_score

ARM_COLUMNS = (
    *("arm", "score", "score_low", "score_high", "difference", "difference_low", "difference_high", "p_adjusted"),
    *("seeds", "tasks", "tasks_expected", "size_bytes", "size_bytes_paper", "teacher_size_bytes", "ratio", "teacher"),
)
TASK_COLUMNS = ("task", "split", "metric", "arm", "score", "score_low", "score_high", "teacher", "seeds")


def arm_table(
    frame: pd.DataFrame, reference: str, differences: Mapping[str, Difference] | None = None
) -> pd.DataFrame:
    """Return one row per arm, the reference first.

    Scores are in the metric's scale. Columns:

    - arm
    - ``score``, ``score_low``, ``score_high``: the primary metric's mean over tasks and splits, of all seeds, of the
      lowest and of the highest seed
    - ``difference``, ``difference_low``, ``difference_high``: arm minus reference (``analysis.compare.differences``)
    - ``p_adjusted``: two-sided p-value of no difference, adjusted by Holm over the arms of the table
    - ``seeds``: those with every task done
    - ``tasks`` and ``tasks_expected``: number of (task, split) pairs
    - ``size_bytes``, ``size_bytes_paper``, ``teacher_size_bytes``: means over runs
    - ``ratio``: the teacher's bytes over the arm's real bytes
    - ``teacher``: the mean score of its teachers over the seeds and tasks of ``score``

    An arm that lacks a task of another arm has no score: means over different tasks cannot be compared.

    Args:
        frame: rows of ``analysis.collect.collect``, of one study.
        reference: the arm of the first row.
        differences: by arm; an arm without an entry has no difference.
    """
    differences = differences or {}
    p_values = holm([p_no_difference(difference) for difference in differences.values()])
    adjusted = dict(zip(differences, p_values, strict=True))
    primary = frame[frame["is_primary"]]
    expected = len(primary[["task", "split"]].drop_duplicates())

    rows = []
    for arm in arms_in_order(frame, reference):
        runs = primary[primary["arm"] == arm]

        # Only seeds with every task count: a mean over fewer tasks measures something else.
        cells = runs.pivot_table(index="seed", columns=["task", "split"], values="value")
        complete = cells.dropna() if cells.shape[1] == expected else cells.iloc[:0]
        seed_means = complete.mean(axis=1)

        # A run has one row per task and split, but its file is counted once.
        sizes = runs.drop_duplicates("run_id")[["size_bytes", "size_bytes_paper", "teacher_size_bytes"]].mean()
        difference = differences.get(arm)
        rows.append(
            {
                "arm": arm,
                "score": seed_means.mean(),
                "score_low": seed_means.min(),
                "score_high": seed_means.max(),
                "difference": difference.mean if difference else float("nan"),
                "difference_low": difference.low if difference else float("nan"),
                "difference_high": difference.high if difference else float("nan"),
                "p_adjusted": adjusted.get(arm, float("nan")),
                "seeds": len(seed_means),
                "tasks": cells.shape[1],
                "tasks_expected": expected,
                **sizes,
                "ratio": sizes["teacher_size_bytes"] / sizes["size_bytes"],
                "teacher": teachers_score(runs[runs["seed"].isin(complete.index)]),
            }
        )
    return pd.DataFrame(rows, columns=list(ARM_COLUMNS))


def task_table(frame: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Return one row per task, split and arm with the primary metric, the reference first in each task.

    Columns: task, split, metric, arm, score, score_low, score_high (mean, lowest and highest seed), teacher (the
    teachers' mean score), seeds.

    Args:
        frame: rows of ``analysis.collect.collect``, of one study.
        reference: the arm of the first row of each task.
    """
    rows = []
    for (task, split, metric), of_task in frame[frame["is_primary"]].groupby(["task", "split", "metric"], sort=False):
        for arm in arms_in_order(of_task, reference):
            runs = of_task[of_task["arm"] == arm]
            rows.append(
                {
                    "task": task,
                    "split": split,
                    "metric": metric,
                    "arm": arm,
                    "score": runs["value"].mean(),
                    "score_low": runs["value"].min(),
                    "score_high": runs["value"].max(),
                    "teacher": teachers_score(runs),
                    "seeds": len(runs),
                }
            )
    return pd.DataFrame(rows, columns=list(TASK_COLUMNS))


def run_table(states: pd.DataFrame, frame: pd.DataFrame, stale: Mapping[str, str]) -> pd.DataFrame:
    """Return one row per planned run, done or not.

    Columns: run_id, arm, task, seed, state, score, teacher, size_bytes, duration_s, started. The score is the primary
    metric of a run's first split.

    Args:
        states: ``analysis.collect.states``.
        frame: ``analysis.collect.collect`` of the same runs.
        stale: by run id, what ``analysis.stale`` returned; these runs get the state ``stale``.
    """
    columns = ["run_id", "value", "teacher_value", "size_bytes", "duration_s", "started"]
    scores = frame.loc[frame["is_primary"], columns].drop_duplicates("run_id")
    table = states.drop_duplicates("run_id").drop(columns="error").merge(scores, how="left", on="run_id")
    table["state"] = table["state"].where(~table["run_id"].isin(list(stale)), "stale")
    return table.rename(columns={"value": "score", "teacher_value": "teacher"})


def arms_in_order(frame: pd.DataFrame, reference: str) -> list[str]:
    """Return the arms in order of appearance, with the reference moved to the front."""
    arms = [str(arm) for arm in frame["arm"].unique()]
    return sorted(arms, key=lambda arm: arm != reference)
