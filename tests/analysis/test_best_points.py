from __future__ import annotations

import pandas as pd
import pytest

from xtc_study.analysis.best_points import best_points, boundary_text
from xtc_study.arms import grid

ARMS = grid(
    {
        "weights": {"1-bit": {"weight_bits": 1}, "2-bit": {"weight_bits": 2}},
        "rate": {f"x{rate}": {"learning_rate": f"x{rate}"} for rate in (1, 2, 4)},
    }
)
SCORES = {"1-bit, x1": 0.5, "1-bit, x2": 0.7, "1-bit, x4": 0.6, "2-bit, x1": 0.5, "2-bit, x2": 0.7, "2-bit, x4": 0.8}


def frame(scores: dict[str, float], seeds: int = 2) -> pd.DataFrame:
    rows = [(arm, "cola", "dev", seed, value, True) for arm, value in scores.items() for seed in range(seeds)]
    return pd.DataFrame(rows, columns=["arm", "task", "split", "seed", "value", "is_primary"])


def test_a_best_point_at_the_end_of_an_axis_is_marked() -> None:
    found = best_points(frame(SCORES), ARMS, "rate")
    assert [(best.fixed, best.point, best.at_end) for best in found] == [("1-bit", "x2", False), ("2-bit", "x4", True)]
    assert boundary_text(found) == [
        "1-bit: best at x2 (70.0 points), inside the grid.",
        "2-bit: best at x4 (80.0 points), the end of the grid, so a better point may lie beyond it.",
    ]


def test_points_that_lack_seeds_are_not_compared() -> None:
    part = frame(SCORES).drop(index=11)  # the last seed of 2-bit, x4
    assert [(best.point, best.at_end) for best in best_points(part, ARMS, "rate")] == [("x2", False), ("x2", False)]


def test_points_with_equally_many_but_different_seeds_or_tasks_are_not_compared() -> None:
    whole = frame({arm: value for arm, value in SCORES.items() if arm.startswith("1")})
    for column, other in (("seed", 7), ("task", "rte"), ("split", "test")):
        part = whole.assign(**{column: whole[column].mask(whole.index == 0, other)})
        assert best_points(part, ARMS, "rate") == []


def test_a_single_point_gives_no_best_and_an_unknown_axis_is_an_error() -> None:
    assert best_points(frame({"1-bit, x1": 0.5}), ARMS, "rate") == []
    with pytest.raises(ValueError, match="axis='depth': the arms have weights, rate"):
        best_points(frame(SCORES), ARMS, "depth")
