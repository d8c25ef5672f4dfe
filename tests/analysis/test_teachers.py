from __future__ import annotations

import pandas as pd
import pytest

from xtc_study.analysis.score_tables import arm_table, task_table
from xtc_study.analysis.teachers import teachers_score, teachers_size

ROWS = [  # task, seed, arm, value, teacher's score, teacher's bytes
    ("a", 0, "32-bit", 0.90, 0.80, 100),
    ("a", 0, "1-bit", 0.70, 0.80, 100),
    ("a", 1, "32-bit", 0.92, 0.90, 100),  # 1-bit has not done this seed
    ("b", 0, "32-bit", 0.50, 0.60, 200),
    ("b", 0, "1-bit", 0.40, 0.60, 200),
    ("b", 1, "32-bit", 0.52, 0.60, 200),
    ("b", 1, "1-bit", 0.42, 0.60, 200),
]


def frame() -> pd.DataFrame:
    columns = ["task", "seed", "arm", "value", "teacher_value", "teacher_size_bytes"]
    more = {"split": "dev", "metric": "accuracy", "is_primary": True, "size_bytes": 10, "size_bytes_paper": 5}
    rows = pd.DataFrame(ROWS, columns=columns).assign(**more)
    return rows.assign(run_id=rows["task"] + rows["seed"].astype(str) + rows["arm"])


def test_a_teacher_counts_once_whatever_its_number_of_students() -> None:
    """Task a: 80 and 90, task b: 60 and 60 (equal scores of two seeds are two teachers): 72.5. By rows 70."""
    assert teachers_score(frame()) == pytest.approx((0.85 + 0.60) / 2)
    assert teachers_size(frame()) == 150.0, "by rows it would be 157"


def test_the_teachers_of_an_arm_are_those_of_its_scored_seeds() -> None:
    table = arm_table(frame(), "32-bit").set_index("arm")
    assert table.loc["32-bit", "teacher"] == pytest.approx(0.725)
    assert table.loc["1-bit", "seeds"] == 1 and table.loc["1-bit", "teacher"] == pytest.approx(0.70)


def test_the_task_table_has_the_teachers_of_each_arm() -> None:
    table = task_table(frame(), "32-bit").set_index(["task", "arm"])["teacher"]
    assert table.to_dict() == pytest.approx(
        {("a", "32-bit"): 0.85, ("a", "1-bit"): 0.8, ("b", "32-bit"): 0.6, ("b", "1-bit"): 0.6}
    )
