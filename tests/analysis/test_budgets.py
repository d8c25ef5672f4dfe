from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fabricate import make_done_run

from xtc_study.analysis.budgets import gains, gap_closed
from xtc_study.analysis.collect import collect
from xtc_study.arms import Arm, grid
from xtc_study.profiles import load_profile
from xtc_study.studies import load_study, plan, study_at

ARMS = grid({"weights": {"1-bit": {}}, "budget": {"A": {}, "B": {}, "C": {}}})


def write(runs: Path, accuracies: Mapping[str, float]) -> tuple[pd.DataFrame, list[Arm]]:
    """The binary half of study 11 with two seeds; each budget has about the given accuracy."""
    axes = {"weights": ["1-bit"]}
    planned = plan(load_study("11_budget"), load_profile("smoke"), seeds=[0, 1], axes=axes)
    for run in planned:
        if run.arm in accuracies:
            make_done_run(runs, run, accuracies[run.arm], examples=400)
    return collect(runs, planned), study_at(load_study("11_budget"), "smoke", axes).arms


ALL = {"1-bit, budget A": 0.6, "1-bit, budget B": 0.75, "1-bit, budget C": 0.85}


def test_each_budget_is_compared_with_the_one_before(tmp_path: Path) -> None:
    found = gains(tmp_path, *write(tmp_path, ALL))
    assert found["from"].tolist() == ["1-bit, budget A", "1-bit, budget B"]
    assert found["to"].tolist() == ["1-bit, budget B", "1-bit, budget C"]
    assert found["times the epochs"].tolist() == [2, 2]
    assert all(text.startswith("+") for text in found["points"])


def test_a_budget_that_is_not_done_is_skipped(tmp_path: Path) -> None:
    found = gains(tmp_path, *write(tmp_path, {arm: ALL[arm] for arm in ("1-bit, budget A", "1-bit, budget C")}))
    assert found[["from", "to"]].to_numpy().tolist() == [["1-bit, budget A", "1-bit, budget C"]]


def test_the_share_of_the_gap_is_computed_from_mean_scores(tmp_path: Path) -> None:
    frame, arms = write(tmp_path, ALL)
    primary = frame[frame["is_primary"]]
    mean = primary.groupby("arm")["value"].mean()
    teacher = primary.groupby("arm")["teacher_value"].mean()
    found = gap_closed(tmp_path, frame, arms).set_index("arm")
    assert list(found.index) == ["1-bit, budget B", "1-bit, budget C"]
    first = mean["1-bit, budget A"]
    for arm, row in found.iterrows():
        assert row["lost now"] == pytest.approx(100 * (teacher[arm] - mean[arm]))
        assert row["share closed"] == pytest.approx((mean[arm] - first) / (teacher[arm] - first))
        assert row["low"] < row["share closed"] < row["high"]


def test_the_share_is_nan_without_a_gap(tmp_path: Path) -> None:
    found = gap_closed(tmp_path, *write(tmp_path, ALL | {"1-bit, budget A": 0.99}))
    assert found["share closed"].isna().all() and len(found) == 2


def test_one_seed_has_a_share_without_bounds(tmp_path: Path) -> None:
    frame, arms = write(tmp_path, ALL)
    found = gap_closed(tmp_path, frame[frame["seed"] == 0], arms)
    assert found["share closed"].notna().all() and np.isnan(found[["low", "high"]].to_numpy()).all()


def test_an_unknown_axis_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="axis='depth': the arms have weights, budget"):
        gap_closed(tmp_path, write(tmp_path, ALL)[0], ARMS, "depth")
