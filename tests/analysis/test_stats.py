from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student

from xtc_study.analysis.stats import (
    SPANS,
    PairedSample,
    holm,
    macro_difference,
    paired_difference,
    seen,
)
from xtc_study.tasks.metrics import METRICS, score


def sample(metric: str, seeds: int, examples: int, rng_seed: int = 0) -> PairedSample:
    rng = np.random.default_rng(rng_seed)
    if metric in ("pearson", "spearman"):
        labels = rng.integers(0, 26, examples) / 5
        arm, reference = labels + rng.normal(size=(2, seeds, examples)).round(1)
    else:
        labels = rng.integers(0, 2, examples).astype(float)
        right = rng.random((2, seeds, examples)) < np.array([0.9, 0.8])[:, None, None]
        arm, reference = np.where(right, labels, 1 - labels)
    return PairedSample(metric, metric, labels, arm, reference)


def slow(s: PairedSample, resamples: int, rng: np.random.Generator) -> list[float]:
    """The bootstrap of examples as documented: draw, index, call the metric, with the draws of the fast one."""
    values = []
    for drawn in rng.integers(len(s.labels), size=(resamples, len(s.labels))):
        of_seeds = [
            score(s.metric, s.labels[drawn], arm[drawn]) - score(s.metric, s.labels[drawn], reference[drawn])
            for arm, reference in zip(s.arm, s.reference, strict=True)
        ]
        values.append(float(np.mean(of_seeds)))
    return values


def of_seeds(s: PairedSample) -> tuple[np.ndarray, np.ndarray]:
    """Each seed's score on all examples, of the arm and of the reference."""
    arm, reference = ([score(s.metric, s.labels, one) for one in many] for many in (s.arm, s.reference))
    return np.array(arm), np.array(reference)


def seeds_part(variance: float, freedom: float, resamples: int, rng_seed: int) -> np.ndarray:
    """sqrt(W) t: the t quantiles of (i + 1/2) / n in the order that the rule draws."""
    places = np.random.default_rng([rng_seed, 0]).permutation((np.arange(resamples) + 0.5) / resamples)
    return np.sqrt(variance) * student.ppf(places, freedom)


@pytest.mark.parametrize("metric", sorted(METRICS))
@pytest.mark.parametrize("seeds", [1, 3])
def test_golden_against_a_slow_loop(metric: str, seeds: int) -> None:
    s = sample(metric, seeds, 41)
    got = paired_difference(metric, s.labels, s.arm, s.reference, resamples=60, rng_seed=5)
    arm, reference = of_seeds(s)
    drawn = np.array(slow(s, 60, np.random.default_rng(5)))
    assert got.example_error == pytest.approx(drawn.std(ddof=1))
    if seeds > 1:
        variance = (arm.var(ddof=1) + reference.var(ddof=1)) / seeds
        assert got.seed_error == pytest.approx(np.sqrt(variance))
        drawn = drawn + seeds_part(variance, 2 * (seeds - 1), 60, 5)
    assert got.drawn == pytest.approx(drawn, abs=1e-10)
    low, high = np.clip(np.percentile(drawn, [2.5, 97.5]), *((-2, 2) if metric in SPANS else (-1, 1)))
    assert (got.mean, got.low, got.high) == pytest.approx((np.mean(arm - reference), low, high), abs=1e-10)
    assert (got.n_seeds, got.n_examples, got.resamples, got.rng_seed) == (seeds, 41, 60, 5)
    assert got.seeds_counted == (seeds > 1)


def test_golden_over_tasks_with_satterthwaite_and_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = [sample("accuracy", 3, 30), sample("pearson", 2, 17)]
    rng = np.random.default_rng(9)
    drawn = np.mean([slow(s, 40, rng) for s in samples], axis=0)
    parts = []
    for s in samples:
        arm, reference = of_seeds(s)
        parts.append((arm.var(ddof=1) + reference.var(ddof=1)) / len(arm) / 2**2)
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / 4 + parts[1] ** 2 / 2)
    got = macro_difference(samples, resamples=40, rng_seed=9)
    assert got.drawn == pytest.approx(drawn + seeds_part(sum(parts), freedom, 40, 9), abs=1e-10)
    assert (got.n_seeds, got.n_examples) == (2, 47)
    monkeypatch.setattr("xtc_study.analysis.stats._BLOCK", 100)
    assert macro_difference(samples, resamples=40, rng_seed=9) == got


def alone_in_seeds(seeds: int = 3, right: int = 2) -> PairedSample:
    """The first ``right`` seeds predict all 20 examples correctly, the others and the reference none."""
    arm = (np.arange(seeds) >= right)[:, None] * np.ones(20)
    return PairedSample("m", "accuracy", np.zeros(20), arm, np.ones((seeds, 20)))


def test_seeds_alone_by_hand() -> None:
    """Scores 1, 1, 0 against 0, 0, 1: W = (1/3 + 1/3) / 3, t(0.975, 4) = 2.776445 (tables)."""
    one = alone_in_seeds()
    got = macro_difference([replace(one, reference=1 - one.arm)])
    error = np.sqrt(2 / 9)
    assert got.mean == pytest.approx(1 / 3) and got.example_error == pytest.approx(0, abs=1e-9)
    assert got.seed_error == pytest.approx(error)
    assert got.low == pytest.approx(max(1 / 3 - 2.776445 * error, -1), abs=0.01)
    assert got.high == 1 < got.drawn.max(), "an accuracy is at most one above another; draws are not cut"


def test_detectable_is_infinite_if_no_possible_difference_reaches_it() -> None:
    """Accuracies 0.2 and 0.9 against 1 and 1: two seeds cannot detect even a difference of the whole scale."""
    arm = np.stack([np.arange(20) < 4, np.arange(20) < 18]).astype(float)
    got = paired_difference("accuracy", np.ones(20), arm, np.ones((2, 20)))
    assert np.isinf(got.detectable) and seen(got) == "no possible difference"


def test_an_arm_without_seed_spread_adds_no_degrees_of_freedom() -> None:
    """Scores 1, 1, 0 against 0, 0, 0: the reference's seeds show no spread, so t has n - 1 = 2."""
    got = macro_difference([alone_in_seeds()])
    assert got.low == pytest.approx(2 / 3 - 4.302653 / 3, abs=0.01)


def test_two_seeds_that_agree_by_chance_do_not_decide() -> None:
    """The fault of drawing two seeds with replacement: four points apart, each arm's seeds two apart, and all draws of
    seeds lie below zero. Student's t with two degrees of freedom does not rule zero out."""
    labels = np.zeros(1000)

    def right(*many: int) -> np.ndarray:
        return np.stack([np.arange(1000) >= n for n in many]).astype(float)

    got = paired_difference("accuracy", labels, right(820, 800), right(860, 840))
    assert got.mean == pytest.approx(-0.04)
    assert got.low < -0.08 and got.high > 0
    # W = (2 x 0.0002) / 2, t(0.975, 2) = 4.302653: half of 0.0608 by seeds alone
    assert (got.high - got.low) / 2 == pytest.approx(np.hypot(4.302653 * np.sqrt(0.0002), 0.0), rel=0.05)


@given(
    metric=st.sampled_from(sorted(METRICS)),
    seeds=st.integers(1, 4),
    examples=st.integers(1, 60),
    rng=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_identical_arms_of_the_same_models_differ_by_exactly_zero(
    metric: str, seeds: int, examples: int, rng: int
) -> None:
    s = sample(metric, seeds, examples, rng)
    got = macro_difference([replace(s, reference=s.arm.copy(), same_training=True)], resamples=30)
    assert (got.mean, got.low, got.high) == (0, 0, 0)
    trained_apart = macro_difference([replace(s, reference=s.arm.copy())], resamples=30)
    assert trained_apart.mean == 0 and trained_apart.low <= 0 <= trained_apart.high


def test_the_spread_of_one_trained_model_is_that_of_its_differences() -> None:
    """Scores 1, 1, 0 and 0, 0, 0: the differences are 1, 1, 0, W = (1/3) / 3, and t with n - 1 = 2 is 4.302653."""
    got = macro_difference([replace(alone_in_seeds(), same_training=True)])
    assert got.low == pytest.approx(2 / 3 - 4.302653 / 3, abs=0.01)


def test_swapping_the_arms_changes_the_sign() -> None:
    s = sample("matthews", 3, 80)
    one = paired_difference("matthews", s.labels, s.arm, s.reference)
    other = paired_difference("matthews", s.labels, s.reference, s.arm)
    assert (other.mean, other.low, other.high) == pytest.approx((-one.mean, -one.high, -one.low), abs=0.01)


def test_pairing_lowers_the_error_due_to_examples() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 300).astype(float)
    reference = np.where(rng.random((3, 300)) < 0.7, labels, 1 - labels)
    arm = reference.copy()
    arm[:, :3] = 1 - arm[:, :3]
    got = paired_difference("accuracy", labels, arm, reference)
    assert 2 * 1.96 * got.example_error < 0.05  # unpaired, two proportions of 0.7 on 300 examples: +-0.07


@pytest.mark.parametrize(
    ("labels", "arm", "reference"),
    [
        ((3,), (2, 3), (1, 3)),
        ((4,), (2, 3), (2, 3)),
        ((3,), (3,), (3,)),
        ((0,), (2, 0), (2, 0)),
        ((3,), (0, 3), (0, 3)),
    ],
)
def test_mismatched_shapes_are_an_error(labels: tuple[int], arm: tuple[int], reference: tuple[int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        paired_difference("accuracy", np.zeros(labels), np.zeros(arm), np.zeros(reference))


def test_splits_of_the_same_models_vary_together() -> None:
    """Only seeds differ, so the mean of two splits of the same models is as uncertain as one of them."""
    one = replace(alone_in_seeds(), models="mnli")
    alone, both = macro_difference([one]), macro_difference([one, replace(one, task="mm")])
    assert (both.mean, both.low, both.high) == pytest.approx((alone.mean, alone.low, alone.high))
    apart = macro_difference([replace(one, models="a"), replace(one, models="b")])
    assert apart.seed_error == pytest.approx(both.seed_error / np.sqrt(2))
    assert apart == macro_difference([replace(one, models=""), replace(one, models="")])
    with pytest.raises(ValueError, match="2 seeds of models 'mnli', expected 3"):
        macro_difference([one, replace(one, arm=one.arm[:2], reference=one.reference[:2])])


def test_no_task_or_no_resample_is_an_error() -> None:
    with pytest.raises(ValueError, match="0 tasks"):
        macro_difference([])
    with pytest.raises(ValueError, match="0 resamples"):
        macro_difference([sample("accuracy", 1, 4)], resamples=0)


def test_holm_by_hand() -> None:
    # sorted 0.01, 0.03, 0.04 times 3, 2, 1: 0.03, 0.06, and 0.04 raised to 0.06
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == pytest.approx([1, 1])
    assert holm([]).shape == (0,)


def test_analysis_and_report_start_without_torch() -> None:
    modules = [f"analysis.{name}" for name in ("collect", "stats", "weighted", "compare", "ledger", "pareto")]
    modules += [f"report.{name}" for name in ("tables", "figures.seeds", "figures.losses", "pages.html")]
    imports = "; ".join(f"import xtc_study.{name}" for name in modules)
    code = f"import sys; {imports}; assert not {{'torch', 'transformers'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
