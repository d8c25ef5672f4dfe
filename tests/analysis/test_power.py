from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from designed import designed_plan, designed_spec, make_runs
from fabricate import make_done_run, plan_runs

from xtc_study.analysis.collect import collect
from xtc_study.analysis.compare import differences
from xtc_study.analysis.power import (
    USUAL_SEED_SPREAD,
    Spread,
    detectable,
    measured_spread,
    power_text,
    seeds_needed,
    spread_of,
    usual_spread,
)


def test_without_seed_spread_the_normal_formula_holds() -> None:
    """1.959964 + 0.841621 standard errors: the textbook's 2.8."""
    assert detectable(Spread(0.0, 0.01, 1, ""), 5) == pytest.approx(0.01 * 2.8016, rel=0.01)
    assert detectable(Spread(0.0, 0.0, 1, ""), 2) == 0


def test_two_seeds_detect_as_often_as_simulated() -> None:
    """Estimates and spreads of 200,000 studies of two seeds, one task: four of five find what is called detectable."""
    spread, rng = Spread(0.02, 0.0, 1, ""), np.random.default_rng(0)
    true = detectable(spread, 2)
    seeds = rng.normal(size=(200_000, 2, 2)) * 0.02
    estimate = true + (seeds[:, 0] - seeds[:, 1]).mean(axis=1)
    half = 4.302653 * np.sqrt(seeds.var(axis=2, ddof=1).sum(axis=1) / 2)
    assert (estimate > half).mean() == pytest.approx(0.8, abs=0.015)


def test_more_seeds_and_tasks_detect_smaller_differences() -> None:
    spread = Spread(0.02, 0.01, 1, "")
    found = [detectable(spread, seeds) for seeds in (2, 3, 5, 10, 20)]
    assert found == sorted(found, reverse=True)
    assert detectable(Spread(0.02, 0.01, 2, ""), 3) < found[1]
    needed = seeds_needed(spread, 0.05)
    assert needed is not None and detectable(spread, needed) <= 0.05 < detectable(spread, needed - 1)
    assert seeds_needed(spread, 0.001) is None


def test_one_seed_detects_nothing() -> None:
    with pytest.raises(ValueError, match="seeds=1: expected at least 2"):
        detectable(Spread(0.02, 0.01, 1, ""), 1)
    assert power_text(Spread(0.02, 0.01, 1, "assumed"), 1).startswith(
        "power: one seed cannot decide a claim; 5 points need "
    )


def test_the_assumed_spread_of_two_tasks_by_hand() -> None:
    """0.15 / 600 and 0.15 / 1500, the root of their sum over two tasks."""
    found = usual_spread({"a": 600, "b": 1500})
    assert (found.seed_sd, found.tasks) == (USUAL_SEED_SPREAD, 2)
    assert found.example_error == pytest.approx(np.sqrt(0.15 / 600 + 0.15 / 1500) / 2)
    assert "assuming" in power_text(found, 3) and "3 seeds detect a difference of" in power_text(found, 3)


def test_more_rows_are_asked_for_if_no_number_of_seeds_suffices() -> None:
    """2.8 standard errors of 0.01 are 2.8 points by examples alone; a spread of 5 points is a matter of seeds."""
    assert "2 points need more dev rows, whatever the number of seeds" in power_text(Spread(0.001, 0.01, 1, ""), 3)
    assert "1 point needs more than 20 seeds" in power_text(Spread(0.05, 0.0, 1, ""), 3)


def test_the_seed_spread_is_measured_on_done_runs(tmp_path: Path) -> None:
    planned = plan_runs({"32-bit": 32, "1-bit": 1})
    for run in planned:
        make_done_run(tmp_path, run, 0.95 if run.arm == "32-bit" else 0.75)
    frame = collect(tmp_path, planned)
    found = measured_spread(frame, differences(tmp_path, frame, "32-bit", resamples=100))
    primary = frame[frame["is_primary"]]
    pooled = np.sqrt(primary.groupby(["arm", "task"])["value"].var().mean())  # three seeds each
    assert found is not None and found.seed_sd == pytest.approx(pooled) and found.tasks == 2
    assert found.measured == f"measured on the 12 runs that are done, whose seeds differ by {100 * pooled:.1f} points"
    one_seed = frame[frame["seed"] == 0]
    assert measured_spread(one_seed, differences(tmp_path, one_seed, "32-bit", resamples=10)) is None


def test_an_effect_over_many_arms_needs_fewer_seeds() -> None:
    """Sixteen arms halve the runs' noise three times over: the error of an effect is that of 8 against 8 arms."""
    two, sixteen = Spread(0.02, 0.0, 1, ""), Spread(0.02, 0.0, 1, "assumed", 16)
    # 2.8016 standard errors of 0.02 sqrt(4 / (16 x 5)), a little more with 60 degrees of freedom
    assert detectable(sixteen, 5) == pytest.approx(2.8016 * 0.02 / np.sqrt(20), rel=0.03)
    assert detectable(sixteen, 2) < detectable(two, 2) / 3
    text = power_text(sixteen, 2)
    assert text.startswith("power: 2 seeds detect an effect of a factor, over 16 arms, of ")
    assert usual_spread({"a": 600}, 16).example_error == pytest.approx(np.sqrt(0.15 / 600 / 8))


def test_effects_are_detected_as_often_as_simulated() -> None:
    """Eight arms, two seeds with blocks: four of five studies find an effect that is called detectable."""
    spread, rng = Spread(0.02, 0.0, 1, "", 8), np.random.default_rng(0)
    true = detectable(spread, 2)
    scores = rng.normal(size=(100_000, 2, 8)) * 0.02
    scores = scores - scores.mean(axis=2, keepdims=True)
    estimate = true + (scores[..., 4:].mean(axis=(1, 2)) - scores[..., :4].mean(axis=(1, 2)))
    residual = ((scores - scores.mean(axis=1, keepdims=True)) ** 2).sum(axis=(1, 2)) / 7
    assert (estimate > 2.364624 * np.sqrt(4 * residual / 16)).mean() == pytest.approx(0.8, abs=0.015)


def test_the_spread_of_a_designed_study_is_that_of_its_effects(tmp_path: Path) -> None:
    planned, spec = designed_plan(), designed_spec()
    assert spread_of(tmp_path, collect(tmp_path, planned), spec) is None
    make_runs(tmp_path, planned, {"rate": 0.1})
    found = spread_of(tmp_path, collect(tmp_path, planned), spec)
    assert found is not None and (found.arms, found.tasks) == (8, 2) and "measured on the 32 runs" in found.measured
    (tmp_path / planned[0].run_id / "predictions.parquet").write_text("nothing")
    assert spread_of(tmp_path, collect(tmp_path, planned), spec) is None
