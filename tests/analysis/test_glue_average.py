from __future__ import annotations

import math

import pandas as pd
import pytest

from xtc_study.analysis.glue_average import NINE_COLUMNS, average_of, glue_averages, is_whole_glue
from xtc_study.tasks.glue import GLUE_TASKS


def frame(seeds: int = 2, drop: tuple[str, str] | None = None) -> pd.DataFrame:
    rows = [
        {"arm": "a", "seed": seed, "task": task, "split": split, "metric": metric, "is_primary": metric == wanted,
         "value": (0.5 + index / 100 + seed / 10) if metric == wanted else 0.0}
        for seed in range(seeds)
        for index, ((task, split), wanted) in enumerate(NINE_COLUMNS.items())
        for metric in GLUE_TASKS[task].metrics
        if (task, split) != drop
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_the_nine_columns_are_the_primary_metrics_of_the_eight_tasks() -> None:
    ours = {(task.name, split): task.primary_metric for task in GLUE_TASKS.values() for split in task.eval_splits}
    assert ours == NINE_COLUMNS


def test_the_average_of_a_seed_is_the_mean_of_nine_columns() -> None:
    averages = glue_averages(frame())
    assert averages["value"].tolist() == pytest.approx([0.54, 0.64])
    assert average_of(frame(), "a") == pytest.approx(0.59)
    assert is_whole_glue(frame())


def test_eight_columns_give_no_average() -> None:
    part = frame(drop=("mnli", "mismatched"))
    assert glue_averages(part).empty and not is_whole_glue(part)
    assert math.isnan(average_of(part, "a"))
