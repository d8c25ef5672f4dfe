"""The tables of a study in numbers: one row an arm, one an arm and task, one a planned run."""

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
    """One row an arm, the reference first.

    Columns: arm; ``score``, ``score_low``, ``score_high`` (mean over tasks and splits of the primary metric, and
    that of the lowest and of the highest seed; scale of the metric); ``difference``, ``difference_low``,
    ``difference_high``
    (arm minus reference, from ``analysis.compare.differences``); ``p_adjusted`` (two-sided p-value of no difference,
    adjusted by Holm over the arms of the table); ``seeds`` (those with every task done);
    ``tasks`` and ``tasks_expected`` (task and split pairs); ``size_bytes``, ``size_bytes_paper``,
    ``teacher_size_bytes`` (means over runs), ``ratio`` (teacher's bytes over the arm's real bytes) and ``teacher``
    (the mean of its teachers over the seeds and tasks of ``score``; scale of the metric).

    An arm that lacks a task that another arm has shows no score: a mean over other tasks cannot be compared.

    Args:
        frame: rows of ``analysis.collect.collect``, of one study.
        reference: the arm of the first row.
        differences: by arm; an arm without one shows none.
    """
    differences = differences or {}
    p_values = holm([p_no_difference(difference) for difference in differences.values()])
    adjusted = dict(zip(differences, p_values, strict=True))
    primary = frame[frame["is_primary"]]
    expected = len(primary[["task", "split"]].drop_duplicates())

    rows = []
    for arm in arms_in_order(frame, reference):
        runs = primary[primary["arm"] == arm]

        # Only seeds with every task count: a mean over fewer tasks is of something else.
        cells = runs.pivot_table(index="seed", columns=["task", "split"], values="value")
        complete = cells.dropna() if cells.shape[1] == expected else cells.iloc[:0]
        of_seeds = complete.mean(axis=1)

        # A run has a row a task and split, and its file is counted once.
        sizes = runs.drop_duplicates("run_id")[["size_bytes", "size_bytes_paper", "teacher_size_bytes"]].mean()
        difference = differences.get(arm)
        rows.append(
            {
                "arm": arm,
                "score": of_seeds.mean(),
                "score_low": of_seeds.min(),
                "score_high": of_seeds.max(),
                "difference": difference.mean if difference else float("nan"),
                "difference_low": difference.low if difference else float("nan"),
                "difference_high": difference.high if difference else float("nan"),
                "p_adjusted": adjusted.get(arm, float("nan")),
                "seeds": len(of_seeds),
                "tasks": cells.shape[1],
                "tasks_expected": expected,
                **sizes,
                "ratio": sizes["teacher_size_bytes"] / sizes["size_bytes"],
                "teacher": teachers_score(runs[runs["seed"].isin(complete.index)]),
            }
        )
    return pd.DataFrame(rows, columns=list(ARM_COLUMNS))


def task_table(frame: pd.DataFrame, reference: str) -> pd.DataFrame:
    """One row an arm, task and split with the primary metric: mean, lowest and highest seed, and the teacher's mean.

    Columns: task, split, metric, arm, score, score_low, score_high, teacher, seeds; the reference first in each task.
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
    """One row a planned run, done or not.

    Columns: run_id, arm, task, seed, state, score, teacher, size_bytes, duration_s, started.

    Args:
        states: ``analysis.collect.states``.
        frame: ``analysis.collect.collect`` of the same runs; the score is the primary metric of a run's first split.
        stale: run ids that ``analysis.stale`` names; their state says so.
    """
    columns = ["run_id", "value", "teacher_value", "size_bytes", "duration_s", "started"]
    scores = frame.loc[frame["is_primary"], columns].drop_duplicates("run_id")
    table = states.drop_duplicates("run_id").drop(columns="error").merge(scores, how="left", on="run_id")
    table["state"] = table["state"].where(~table["run_id"].isin(list(stale)), "stale")
    return table.rename(columns={"value": "score", "teacher_value": "teacher"})


def arms_in_order(frame: pd.DataFrame, reference: str) -> list[str]:
    """The arms as they first occur, the reference moved to the first place."""
    arms = [str(arm) for arm in frame["arm"].unique()]
    return sorted(arms, key=lambda arm: arm != reference)
