"""Effects of factors: the model by hand, its two sources of error, and how often its intervals hold."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from designed import designed_plan, designed_spec, make_runs
from fabricate import split_in_two

from xtc_study.analysis.collect import collect
from xtc_study.analysis.factor_effects import (
    DesignSample,
    design_samples,
    effect_rows,
    effects_of,
    estimated,
    fitted_effects,
    in_names,
    missing,
)
from xtc_study.analysis.weighted import Array
from xtc_study.fractional import Design, Fraction, fraction_of
from xtc_study.runs.records import RunFileError

HALF = fraction_of({name: {"low": {}, "high": {}} for name in "abc"}, Design(fractional={"C": "AB"}))
SIGNS = np.array([contrast.signs for contrast in HALF.contrasts], dtype=np.float64)
"""A: -1 1 -1 1, B: -1 -1 1 1, C: -1 1 1 -1."""


def rightly(shares: Array, examples: int = 1000) -> Array:
    """Predictions of 0 or 1 for labels that are all 1, of which each share is right: (seeds, arms, examples)."""
    return (np.arange(examples) < np.round(shares[..., None] * examples)).astype(np.float64)


def test_effects_and_their_variance_by_hand() -> None:
    """Scores of two seeds, the second 10 above: block effects cancel, the residual is +-r, 3 degrees of freedom."""
    first = np.array([50.0, 60.0, 52.0, 66.0])
    residual = np.array([1.0, -1.0, -1.0, 1.0])  # adds to no block and, over both seeds, to no effect
    effects, variances, freedom = fitted_effects(np.stack([first + residual, first + 10 - residual]), SIGNS)
    # A: (60 + 66 - 50 - 52) / 2; B: (52 + 66 - 50 - 60) / 2; C: (60 + 52 - 50 - 66) / 2
    assert effects == pytest.approx([12, 4, -2])
    # the sum of squares is 8, so the mean square is 8 / 3; an effect's variance is 4 times that over 8 runs
    assert freedom == 3 and variances == pytest.approx([4 / 3] * 3)


def test_one_seed_gives_effects_without_a_variance() -> None:
    effects, variances, freedom = fitted_effects(np.array([[50.0, 60.0, 52.0, 66.0]]), SIGNS)
    assert effects == pytest.approx([12, 4, -2]) and np.isnan(variances).all() and np.isnan(freedom)
    shares = np.array([[0.5, 0.6, 0.52, 0.66]])
    found = estimated([DesignSample("t", "accuracy", np.ones(1000), rightly(shares))], HALF.contrasts)
    assert np.isnan(found[0].overall.seed_error) and not found[0].overall.seeds_counted
    assert found[0].overall.example_error > 0


def test_the_interval_is_of_seeds_and_examples() -> None:
    """By seeds t(0.975, 3) = 3.182446; by examples the spread of what each example adds to the effect."""
    scores = np.array([[0.51, 0.59, 0.51, 0.67], [0.59, 0.71, 0.63, 0.75]])
    _, variances, _ = fitted_effects(scores, SIGNS)
    one = DesignSample("t", "accuracy", np.ones(1000), rightly(scores))
    (a, _, _) = estimated([one], HALF.contrasts)
    assert a.overall.mean == pytest.approx(0.12) and a.overall.seed_error == pytest.approx(np.sqrt(variances[0]))
    each_adds = SIGNS[0] @ rightly(scores).mean(axis=0) / 2
    assert a.overall.example_error == pytest.approx(each_adds.std() / np.sqrt(1000), rel=0.1)
    by_seeds = 3.182446 * np.sqrt(variances[0])
    assert (a.overall.high - a.overall.low) / 2 > by_seeds
    assert (a.overall.n_seeds, a.overall.n_examples) == (2, 1000)


def test_over_tasks_an_effect_is_the_mean_and_freedoms_are_satterthwaites() -> None:
    """Tasks of variances v and 4v: W = 5v / 4, df = 3 (1 + 4)^2 / (1 + 16) = 4.41, t(0.975, 4.41) = 2.6797."""
    base = np.array([0.4, 0.5, 0.5, 0.6])
    residual = 0.02 * np.array([1.0, -1.0, -1.0, 1.0])
    tasks = [np.stack([base + scale * residual, base - scale * residual]) for scale in (1, 2)]
    samples = [
        DesignSample(f"task {n}", "mae", np.zeros(4), np.repeat(scores[..., None], 4, axis=2))
        for n, scores in enumerate(tasks)
    ]
    (a, b, c) = estimated(samples, HALF.contrasts)
    assert (a.overall.mean, b.overall.mean, c.overall.mean) == pytest.approx((0.1, 0.1, 0.0))
    variance = [fitted_effects(scores, SIGNS)[1][0] for scores in tasks]
    assert variance[1] == pytest.approx(4 * variance[0])
    assert a.overall.seed_error == pytest.approx(np.sqrt(5 * variance[0]) / 2) and a.overall.example_error < 1e-12
    assert a.overall.high - 0.1 == pytest.approx(2.6797 * a.overall.seed_error, rel=0.01)
    assert a.by_task["task 1"].seed_error == pytest.approx(np.sqrt(variance[1]))
    assert list(a.by_task) == ["task 0", "task 1"]


def test_splits_of_a_task_are_one_training() -> None:
    scores = np.array([[0.51, 0.59, 0.51, 0.67], [0.59, 0.71, 0.63, 0.75]])
    one = DesignSample("mnli", "accuracy", np.ones(1000), rightly(scores))
    (alone, *_), (both, *_) = estimated([one], HALF.contrasts), estimated([one, one], HALF.contrasts)
    assert both.overall.seed_error == pytest.approx(alone.overall.seed_error) and list(both.by_task) == ["mnli"]
    other = DesignSample("rte", "accuracy", np.ones(1000), rightly(scores))
    (apart, *_) = estimated([one, other], HALF.contrasts)
    assert apart.overall.seed_error == pytest.approx(alone.overall.seed_error / np.sqrt(2))


SIXTEEN = fraction_of({name: {"low": {}, "high": {}} for name in "abcdefgh"}, Design(fractional="IV"))


def coverage(fraction: Fraction, seed_sd: float, own_examples: float, repetitions: int) -> tuple[float, float]:
    """Simulate studies with known effects; return how often 95 % intervals hold them, and how often t's alone do.

    Each arm has its own examples that it is better at, whatever the seed, and each seed a shift of its own and one
    that all arms share. Two tasks whose spreads over seeds differ by half.
    """
    rng = np.random.default_rng(7)
    signs = np.array([contrast.signs for contrast in fraction.contrasts], dtype=np.float64)
    arms, examples, seeds = len(fraction.rows), 150, 2
    effects = np.where(np.arange(len(signs)) % 3 == 0, 0.06, 0.0)
    truth = 0.6 + effects @ signs / 2
    held = by_seeds = 0.0
    for _ in range(repetitions):
        samples = []
        for task, spread in (("one", seed_sd), ("two", 1.5 * seed_sd)):
            difficulty = rng.uniform(-0.1, 0.1, examples) + rng.choice([-1, 1], (arms, examples)) * own_examples
            shift = rng.normal(0, spread, (seeds, arms, 1)) + rng.normal(0, 0.03, (seeds, 1, 1))
            right = rng.random((seeds, arms, examples)) < truth[:, None] + difficulty + shift
            samples.append(DesignSample(task, "accuracy", np.ones(examples), right.astype(np.float64)))
        for effect, true in zip(estimated(samples, fraction.contrasts, resamples=200), effects, strict=True):
            found = effect.overall
            held += found.low <= true <= found.high
            by_seeds += abs(found.mean - true) <= 2.05 * found.seed_error  # t(0.975, 27) or so
    count = repetitions * len(signs)
    return held / count, by_seeds / count


def test_intervals_hold_the_true_effects_in_about_95_percent() -> None:
    """Hundreds of intervals each. What examples do to one seed alone counts twice, so it is a little more."""
    seeds_decide, _ = coverage(SIXTEEN, 0.05, 0.0, 60)
    assert 0.94 <= seeds_decide <= 0.99
    examples_decide, without_examples = coverage(SIXTEEN, 0.0, 0.25, 30)
    assert 0.94 <= examples_decide <= 1.0 and examples_decide - without_examples > 0.02


def test_effects_of_made_up_runs(tmp_path: Path) -> None:
    """Eight arms, two tasks, two seeds. ``rate`` is worth 10 points, ``decay`` costs 5, the others nothing."""
    planned, spec = designed_plan(), designed_spec()
    make_runs(tmp_path, planned, {"rate": 0.1, "decay": -0.05})
    frame = collect(tmp_path, planned)
    assert missing(frame, spec) == ""
    assert missing(frame, spec, ["rte"]).endswith("on every task; no run on rte is done yet.")
    found = effects_of(tmp_path, frame, spec)
    by_factor = found.by_factor()
    assert list(by_factor) == ["rate", "decay", "scale", "warm-up"]
    assert by_factor["rate"].mean == pytest.approx(0.1, abs=0.03) and by_factor["rate"].low > 0.03
    assert by_factor["decay"].high < 0 and by_factor["scale"].low <= 0 <= by_factor["scale"].high
    assert [effect.contrast.code for effect in found.interactions] == ["AB + CD", "AC + BD", "AD + BC"]
    assert in_names(found.interactions[0].contrast, found.fraction) == "rate × decay + scale × warm-up"  # noqa: RUF001
    assert all(effect.p_adjusted <= 1 for effect in found.main) and found.main[0].p_adjusted < 0.01

    rows = effect_rows(found)
    assert len(rows) == (4 + 3) * 3 and list(rows["tasks"].unique()) == ["all", "toy-inference", "toy-pairs"]
    of_rate = rows[rows["code"] == "A"].set_index("tasks")
    assert of_rate.loc["all", "effect"] == pytest.approx(100 * by_factor["rate"].mean)
    mean_of_tasks = of_rate.loc[["toy-inference", "toy-pairs"], "effect"].mean()
    assert mean_of_tasks == pytest.approx(of_rate.loc["all", "effect"])
    assert of_rate["p_adjusted"].isna().tolist() == [False, True, True]


def test_effects_wait_for_a_seed_that_every_arm_has_done_on_every_task(tmp_path: Path) -> None:
    planned, spec = designed_plan(), designed_spec()
    assert "no run is done yet" in missing(collect(tmp_path, planned), spec)
    last = [run for run in planned if run.arm == "all 4" and run.recipe.task == "toy-pairs"]
    make_runs(tmp_path, [run for run in planned if run not in last], {"rate": 0.1})
    assert missing(collect(tmp_path, planned), spec) == (
        "Effects need a seed that all 8 arms have done on every task. On toy-pairs is still missing: all 4."
    )
    make_runs(tmp_path, last[:1], {"rate": 0.1})
    frame = collect(tmp_path, planned)
    assert missing(frame, spec) == "" and effects_of(tmp_path, frame, spec).main[0].overall.n_seeds == 1


def test_predictions_of_other_examples_are_refused(tmp_path: Path) -> None:
    planned, spec = designed_plan(seeds=(0,), tasks=("toy-pairs",)), designed_spec()
    make_runs(tmp_path, planned, {})
    frame = collect(tmp_path, planned)
    path = tmp_path / planned[-1].run_id / "predictions.parquet"
    pd.read_parquet(path).iloc[:-1].to_parquet(path)
    with pytest.raises(
        RunFileError, match=r"toy-pairs, dev: the runs of '.*' and 'XTC' were not evaluated on the same"
    ):
        effects_of(tmp_path, frame, spec)


def test_two_splits_give_two_samples_of_one_task(tmp_path: Path) -> None:
    planned, spec = designed_plan(seeds=(0, 1), tasks=("toy-pairs",)), designed_spec()
    make_runs(tmp_path, planned, {"rate": 0.1})
    for run in planned:
        split_in_two(tmp_path / run.run_id)
    frame = collect(tmp_path, planned)
    samples = design_samples(tmp_path, frame, spec.arm_names)
    assert [(sample.task, sample.predictions.shape) for sample in samples] == [("toy-pairs", (2, 8, 200))] * 2
    assert list(effects_of(tmp_path, frame, spec).main[0].by_task) == ["toy-pairs"]
    assert json.loads((tmp_path / planned[0].run_id / "metrics.json").read_text())["rows"][-1]["split"] == "other"


def test_a_study_without_a_design_has_no_effects(tmp_path: Path) -> None:
    plain = designed_spec(design=None, reference="slow, decay, one scale, warm-up", claims=designed_claims())
    with pytest.raises(ValueError, match="study own: has no design"):
        effects_of(tmp_path, pd.DataFrame(), plain)


def designed_claims() -> list[dict[str, object]]:
    pair = {"arm": "fast, decay, one scale, warm-up", "reference": "slow, decay, one scale, warm-up"}
    return [{"sentence": "s", "kind": "higher", "margin": 0, "source": "x", **pair}]
