from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fabricate import TASKS, claim, make_done_run, plan_runs, split_in_two

from xtc_study.analysis.claims import answers
from xtc_study.analysis.collect import collect
from xtc_study.analysis.compare import TEACHER, differences, paired_samples
from xtc_study.recipe import Recipe
from xtc_study.runs.records import RunFileError
from xtc_study.studies import PlannedRun


@pytest.fixture
def study(tmp_path: Path) -> tuple[Path, list[PlannedRun]]:
    planned = plan_runs({"32-bit": 32, "1-bit": 1})
    for run in planned:
        make_done_run(tmp_path, run, 0.95 if run.arm == "32-bit" else 0.75)
    return tmp_path, planned


def test_samples_pair_seeds_and_examples(study: tuple[Path, list[PlannedRun]]) -> None:
    runs, planned = study
    shutil.rmtree(runs / planned[1].run_id)  # 32-bit, first task, seed 1
    frame = collect(runs, planned)
    samples = paired_samples(runs, frame, "1-bit", "32-bit")
    assert [s.task for s in samples] == [f"{task} dev" for task in TASKS]
    assert [s.arm.shape for s in samples] == [(2, 200), (3, 200)]
    assert {s.metric for s in samples} == {"accuracy"}
    first = frame[frame["is_primary"] & (frame["task"] == TASKS[0]) & (frame["arm"] == "1-bit")]
    accuracy = (samples[0].arm == samples[0].labels).mean(axis=1)
    assert accuracy == pytest.approx(first.set_index("seed")["value"][[0, 2]].to_numpy())


def test_differences_equal_the_mean_of_the_stored_scores(study: tuple[Path, list[PlannedRun]]) -> None:
    runs, planned = study
    frame = collect(runs, planned)
    found = differences(runs, frame, "32-bit", resamples=200)
    means = frame[frame["is_primary"]].groupby("arm")["value"].mean()
    assert set(found) == {"1-bit"}
    assert found["1-bit"].mean == pytest.approx(means["1-bit"] - means["32-bit"])
    assert found["1-bit"].high < -0.1 and found["1-bit"].n_examples == 400


def test_the_teacher_can_be_the_reference(study: tuple[Path, list[PlannedRun]]) -> None:
    runs, planned = study
    frame = collect(runs, planned)
    found = differences(runs, frame, TEACHER, resamples=50)
    gaps = frame[frame["is_primary"]].assign(gap=frame["value"] - frame["teacher_value"]).groupby("arm")["gap"].mean()
    assert {arm: found[arm].mean for arm in found} == pytest.approx(gaps.to_dict())


def test_splits_of_one_task_share_their_models(tmp_path: Path) -> None:
    planned = plan_runs({"32-bit": 32, "1-bit": 1})
    for run in planned:
        split_in_two(make_done_run(tmp_path, run))
    samples = paired_samples(tmp_path, collect(tmp_path, planned), "1-bit", "32-bit")
    assert [s.task for s in samples] == [f"{task} {split}" for task in TASKS for split in ("dev", "other")]
    first, also, second, _ = (s.models for s in samples)
    assert first == also != second and first and second


def test_predictions_that_lack_a_scored_split_are_an_error(study: tuple[Path, list[PlannedRun]]) -> None:
    runs, planned = study
    path = runs / planned[0].run_id / "predictions.parquet"
    pd.read_parquet(path).assign(split="other").to_parquet(path)
    with pytest.raises(RunFileError, match="no row of split 'dev'"):
        paired_samples(runs, collect(runs, planned), "1-bit", "32-bit")


def test_an_arm_that_lacks_a_task_has_no_difference(study: tuple[Path, list[PlannedRun]]) -> None:
    runs, planned = study
    for run in planned:
        if run.arm == "1-bit" and run.recipe.task == TASKS[1]:
            shutil.rmtree(runs / run.run_id)
    assert differences(runs, collect(runs, planned), "32-bit", resamples=10) == {}


def test_runs_on_different_examples_cannot_be_paired(study: tuple[Path, list[PlannedRun]]) -> None:
    runs, planned = study
    path = runs / planned[0].run_id / "predictions.parquet"
    frame = pd.read_parquet(path)
    frame.assign(label=np.roll(frame["label"], 1)).to_parquet(path)
    with pytest.raises(RunFileError, match="same examples"):
        paired_samples(runs, collect(runs, planned), "1-bit", "32-bit")


def test_an_arm_with_two_runs_of_a_seed_is_an_error(study: tuple[Path, list[PlannedRun]]) -> None:
    runs, planned = study
    merged = [PlannedRun(run.study, run.run_id, "all", run.recipe) for run in planned]
    with pytest.raises(ValueError, match="two runs of one task and seed"):
        paired_samples(runs, collect(runs, merged), "all", "32-bit")


def test_arms_that_differ_only_after_training_share_their_models(tmp_path: Path) -> None:
    def arm(name: str, seed: int, **fields: object) -> PlannedRun:
        recipe = Recipe.of(task="toy-sentiment", seed=seed, **fields)
        return PlannedRun("vocabulary", recipe.run_id, name, recipe)

    planned = [arm("whole", seed) for seed in (0, 1)]
    planned += [arm("cut", seed, vocabulary="task", rest="8bit") for seed in (0, 1)]
    planned += [arm("longer", seed, epochs=9) for seed in (0, 1)]
    for run in planned:
        make_done_run(tmp_path, run)
    frame = collect(tmp_path, planned)
    (cut,), (longer,) = (paired_samples(tmp_path, frame, name, "whole") for name in ("cut", "longer"))
    assert cut.same_training and not longer.same_training
    found = differences(tmp_path, frame, "whole", resamples=50)
    assert (found["cut"].low, found["cut"].high) == (0, 0), "every prediction is the same"
    assert found["longer"].low < 0 < found["longer"].high
    (teacher,) = paired_samples(tmp_path, frame, "cut", TEACHER)
    assert not teacher.same_training


def test_own_streams_draw_the_seeds_of_each_difference_independently(study: tuple[Path, list[PlannedRun]]) -> None:
    runs, planned = study
    frame = collect(runs, planned)
    alike, apart = (differences(runs, frame, TEACHER, resamples=50, own_streams=own) for own in (False, True))
    assert alike["32-bit"].drawn.tolist() == apart["32-bit"].drawn.tolist()
    assert alike["1-bit"].drawn.tolist() != apart["1-bit"].drawn.tolist()
    assert alike["1-bit"].mean == apart["1-bit"].mean


def test_arms_that_draw_nothing_at_random_need_no_second_seed(tmp_path: Path) -> None:
    runs = []
    for bits, accuracy in ((32, 0.95), (1, 0.6)):
        recipe = Recipe.of(task="toy-sentiment", static=16, embedding_bits=bits)
        runs.append(PlannedRun("22_static", recipe.run_id, f"{bits}-bit", recipe))
        make_done_run(tmp_path, runs[-1], accuracy)
    frame = collect(tmp_path, runs)
    found = differences(tmp_path, frame, "32-bit")["1-bit"]
    assert found.seedless and found.n_seeds == 1 and found.seed_error == 0 and found.detectable > 0
    claims = [claim("lower", "1-bit", "32-bit", 0.01), claim("equivalent", "1-bit", "32-bit", 0.01)]
    judged = answers(claims, {"32-bit": {"1-bit": found}})
    assert [answer.label for answer in judged] == ["supported", "contradicted"]
    assert "no seeds: nothing is drawn at random" in judged[0].reasons and "these examples alone" in judged[0].reasons


def test_a_table_is_not_compared_with_a_teacher(tmp_path: Path) -> None:
    recipe = Recipe.of(task="toy-sentiment", static=16)
    run = PlannedRun("22_static", recipe.run_id, "1-bit", recipe)
    path = make_done_run(tmp_path, run) / "predictions.parquet"
    pd.read_parquet(path).assign(teacher_prediction=float("nan")).to_parquet(path)
    with pytest.raises(RunFileError, match="the runs of '1-bit' have no teacher"):
        differences(tmp_path, collect(tmp_path, [run]), "teacher")
