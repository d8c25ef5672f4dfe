from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from xtc_study.analysis.collect import COLUMNS
from xtc_study.analysis.equal_bytes import SizedArm, best_of, competing, fitting, sized_arms


def row(arm: str, value: float, size: int, seed: int = 0, task: str = "cola", **changed: Any) -> dict[str, Any]:
    """One row of a tidy frame; arms differ in their learning rate, which is made from the name."""
    rate = changed.get("learning_rate", sum(map(ord, arm)) / 1e6)
    run_id = f"{task}-{rate}-{seed}-{changed.get('rest', 'fp32')}"
    values = {"study": "bits", "arm": arm, "run_id": run_id, "task": task, "split": "dev", "metric": "accuracy"}
    numbers = {"is_primary": True, "value": value, "seed": seed, "size_bytes": size, "learning_rate": rate}
    return {**values, **numbers, "rest": "fp32", "model": "tiny", **changed}


def frame(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(list(rows))


def chosen(arms: list[SizedArm], budget_mb: float) -> str | None:
    best = best_of(fitting(competing(arms), budget_mb))
    return None if best is None else best.arm


def test_the_budget_is_inclusive_and_the_best_score_wins() -> None:
    arms = sized_arms(frame(row("small", 0.6, 500_000), row("large", 0.7, 4_000_000), row("larger", 0.9, 4_000_001)))[
        "cola", "dev"
    ]
    assert chosen(arms, 0.5) == "small"
    assert chosen(arms, 3.999999) == "small"
    assert chosen(arms, 4) == "large"
    assert chosen(arms, 4.000001) == "larger"
    assert chosen(arms, 0.499999) is None, "no arm fits"


def test_a_smaller_file_with_the_best_score_wins_a_larger_budget_too() -> None:
    arms = sized_arms(frame(row("small", 0.8, 500_000), row("large", 0.7, 900_000)))["cola", "dev"]
    assert chosen(arms, 90) == "small"


def test_of_equal_scores_the_smaller_file_wins_then_the_first() -> None:
    tied = frame(
        row("large", 0.1 + 0.2, 900_000), row("small", 0.3, 800_000), row("another", 0.3, 800_000, learning_rate=0.7)
    )
    assert 0.1 + 0.2 > 0.3, "rounding makes no winner"
    assert chosen(sized_arms(tied)["cola", "dev"], 1) == "small"


def test_the_score_is_the_mean_and_the_size_the_largest_over_seeds() -> None:
    (arm,) = sized_arms(frame(row("a", 0.6, 999, seed=1), row("a", 0.9, 1001, seed=0)))["cola", "dev"]
    assert arm.score == pytest.approx(0.75) and (arm.low, arm.high) == (0.6, 0.9)
    assert arm.size_bytes == 1001 and list(arm.runs) == [0, 1]


def test_a_recipe_of_several_studies_is_one_arm_with_all_their_seeds() -> None:
    shared = frame(
        row("1-bit", 0.6, 9, learning_rate=0.1),
        row("1-bit again", 0.6, 9, study="stages", learning_rate=0.1),
        row("1-bit again", 0.8, 9, seed=1, study="stages", learning_rate=0.1),
        row("2-bit", 0.7, 9, learning_rate=0.2),
    )
    first, second = sized_arms(shared)["cola", "dev"]
    assert (first.study, first.arm, first.score, first.seeds) == ("bits", "1-bit", pytest.approx(0.7), 2)
    assert second.arm == "2-bit"


def test_one_lucky_seed_does_not_compete_with_a_mean_of_two() -> None:
    pair = [row("two", 0.6, 9, seed=seed) for seed in (0, 1)]
    arms = sized_arms(frame(*pair, row("one", 0.9, 9)))["cola", "dev"]
    assert [arm.arm for arm in competing(arms)] == ["two"]
    alone = sized_arms(frame(row("one", 0.9, 9), row("another", 0.8, 9)))["cola", "dev"]
    assert len(competing(alone)) == 2, "where no arm has two seeds, all compete"


def test_a_table_without_a_transformer_needs_no_second_seed() -> None:
    pair = [row("encoder", 0.6, 9, seed=seed, static=None) for seed in (0, 1)]
    arms = sized_arms(frame(*pair, row("table", 0.7, 9, static=128), row("one", 0.9, 9, static=None)))["cola", "dev"]
    assert {arm.arm: arm.static for arm in competing(arms)} == {"encoder": False, "table": True}
    only = sized_arms(frame(row("table", 0.7, 9, static=128), row("one", 0.9, 9, static=None)))["cola", "dev"]
    assert len(competing(only)) == 2, "a table is no reason to leave out arms of one seed"


def test_tasks_are_apart_and_an_arm_may_miss_one() -> None:
    both = frame(row("a", 0.6, 9), row("b", 0.7, 9), row("a", 0.5, 9, task="mrpc"))
    found = sized_arms(both)
    assert {key: [arm.arm for arm in arms] for key, arms in found.items()} == {
        ("cola", "dev"): ["a", "b"],
        ("mrpc", "dev"): ["a"],
    }


def test_other_metrics_and_trials_are_left_out() -> None:
    rows = [row("a", 0.6, 9, holdout=None), row("a", 0.9, 9, is_primary=False, metric="f1", holdout=None)]
    found = sized_arms(frame(*rows, row("trial", 0.99, 9, holdout=0.2)))
    assert [(arm.arm, arm.score) for arm in found["cola", "dev"]] == [("a", 0.6)]


def test_arms_that_differ_only_after_training_are_two_arms_of_one_training() -> None:
    one, other = sized_arms(frame(row("a", 0.6, 9), row("a", 0.6, 7, rest="fp16")))["cola", "dev"]
    assert one.training == other.training and one.size_bytes != other.size_bytes


def test_nothing_done_gives_no_arm() -> None:
    assert sized_arms(pd.DataFrame(columns=list(COLUMNS)).astype(COLUMNS)) == {}
    assert best_of([]) is None
