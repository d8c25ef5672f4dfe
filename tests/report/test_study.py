from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from fabricate import claim, make_done_run, plan_runs, write_json
from fabricate_report import section

from xtc_study.analysis.collect import collect, states
from xtc_study.analysis.compare import differences
from xtc_study.recipe import Recipe
from xtc_study.report.provenance import provenance_of
from xtc_study.studies import PlannedRun


@pytest.mark.parametrize(("seeds", "warned"), [(2, True), (5, False)])
def test_few_seeds_are_a_stated_limit(runs: Path, seeds: int, warned: bool) -> None:
    planned = plan_runs({"32-bit": 32, "1-bit": 1}, ("toy-pairs",), seeds)
    for run in planned:
        make_done_run(runs, run)
    study = section(planned, runs)
    (limit,) = [limit for limit in study.limits if "show little of how much seeds differ" in limit] or [""]
    assert limit.startswith(f"{seeds} seeds") == warned
    (difference,) = differences(runs, collect(runs, planned), "32-bit").values()
    assert (f"about 80 % of cases: {100 * difference.detectable:.1f} points." in limit) == warned


@pytest.mark.parametrize(
    ("depth", "expected"),
    [(None, "The fp32 teachers score "), ("1/2", "Teachers differ in depth, and each arm's is its own")],
)
def test_teachers_of_several_depths_are_not_averaged(runs: Path, depth: str | None, expected: str) -> None:
    recipes = {"32-bit": Recipe(task="t", weight_bits=32), "1-bit": Recipe(task="t", teacher_layers=depth)}
    planned = [PlannedRun("bits", recipe.run_id, arm, recipe) for arm, recipe in recipes.items()]
    for run in planned:
        make_done_run(runs, run)
    study = section(planned, runs)
    assert study.arms is not None and expected in study.arms.caption
    assert ("The fp32 teachers" in study.arms.caption) == (depth is None)


@pytest.mark.parametrize("levels", ["ternary", "odd"])
def test_only_ternary_weights_take_less_than_two_bits(runs: Path, levels: str) -> None:
    recipe = Recipe.of(task="t", weight_bits=2, two_bit_levels=levels)
    planned = [PlannedRun("bits", recipe.run_id, "2-bit", recipe)]
    make_done_run(runs, planned[0])
    study = section(planned, runs, reference="2-bit")
    assert study.arms is not None and ("1.6 bits each" in study.arms.caption) == (levels == "ternary")


def test_teachers_are_averaged_task_by_task_however_many_runs_each_has(runs: Path) -> None:
    """Three runs of a task whose teachers score 30, one of a task whose teacher scores 90: 60, not 45."""
    planned = [
        *plan_runs({"32-bit": 32, "1-bit": 1}, ("toy-pairs",), 3),
        *plan_runs({"32-bit": 32}, ("toy-sentiment",), 1),
    ]
    for run in planned:
        folder = make_done_run(runs, run)
        metrics = json.loads((folder / "metrics.json").read_text())
        score = 0.3 if run.recipe.task == "toy-pairs" else 0.9
        write_json(
            folder / "metrics.json", {**metrics, "rows": [{**row, "teacher_value": score} for row in metrics["rows"]]}
        )
    study = section(planned, runs)
    assert study.arms is not None and "The fp32 teachers score 60.0" in study.arms.caption
    whole = next(point for point in study.points if point.arm == "32-bit")
    assert whole.teacher == pytest.approx(0.6) and whole.epochs == (3.0,)


def test_a_page_counts_an_interrupted_run_as_missing(runs: Path, planned: list[PlannedRun]) -> None:
    write_json(runs / planned[-1].run_id / "claim.json", {"token": "t"})  # and no process holds its lock
    assert set(states(runs, planned)["state"]) == {"done", "failed", "interrupted"}
    study = section(planned, runs)
    assert study.states == {"done": 16, "running": 0, "failed": 1, "corrupt": 0, "missing": 1}
    assert study.runs is not None and set(study.runs.text["State"]) == {"done", "failed", "missing"}
    assert study.waiting == [("2-bit", "toy-pairs, seed 1")] and len(study.failures) == 1


def test_the_claimed_arm_is_not_done_yet(runs: Path, planned: list[PlannedRun]) -> None:
    study = section(planned, runs, claims=[claim("lower", "2-bit", "32-bit")])
    (answer,) = study.answers
    assert answer.verdict == "not run" and "2-bit and 32-bit cannot be compared until" in answer.reasons


def test_each_claim_is_answered_against_its_own_reference(runs: Path, planned: list[PlannedRun]) -> None:
    claims = [
        claim("lower", "1-bit", "32-bit", 0.02),
        claim("higher", "32-bit", "1-bit", 0.02),
    ]
    study = section(planned, runs, claims=claims)
    lower, higher = study.answers
    assert lower.verdict == higher.verdict == "supported"
    assert "1-bit minus 32-bit" in lower.reasons and "32-bit minus 1-bit" in higher.reasons
    assert [lower.claim, higher.claim] == claims


def test_predictions_that_cannot_be_read_leave_the_claim_undecided(runs: Path, planned: list[PlannedRun]) -> None:
    (runs / planned[0].run_id / "predictions.parquet").write_bytes(b"")
    study = section(planned, runs)
    (answer,) = study.answers
    assert answer.verdict == "undecided" and planned[0].run_id in answer.reasons
    assert f" has no difference. The predictions cannot be compared: {planned[0].run_id}" in study.arms.caption


def test_provenance_lists_every_distinct_value(tmp_path: Path) -> None:
    planned = plan_runs({"1-bit": 1}, ("toy-pairs",), seeds=2)
    for run in planned:
        make_done_run(tmp_path, run)
    later = {"state": "done", "started": "2026-05-06T01:00:00+00:00", "duration_s": 3587.5}
    write_json(tmp_path / planned[1].run_id / "status.json", later)
    write_json(tmp_path / planned[1].run_id / "environment.json", {"device": "cuda", "packages": {"torch": "2.10.0"}})
    found = provenance_of(collect(tmp_path, planned))
    assert found["Device"] == "cpu, cuda" and found["Precision"] == "fp32" and found["Seeds"] == "0, 1"
    assert found["Packages"] == "numpy 2.3, torch 2.10.0 and 2.9.0"
    assert found["Runs started"] == "2026-05-04 to 2026-05-06" and found["Compute"] == "1.00 h over 2 runs"
    assert provenance_of(pd.DataFrame()) == {}
