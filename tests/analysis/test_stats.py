from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xtc_study.analysis.stats import (
    Claim,
    Difference,
    PairedSample,
    explain,
    holm,
    interval,
    macro_bootstrap,
    multi_bootstrap,
    points,
)
from xtc_study.training.metrics import METRICS, score


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
    """The Multi-Bootstrap as it is told: draw, index, call the metric. The same stream of draws as the quick one."""
    seeds, examples = s.arm.shape
    seed_draws = rng.integers(seeds, size=(resamples, seeds))
    values = []
    for drawn_seeds in seed_draws:
        drawn = rng.integers(examples, size=examples)
        of_seeds = []
        for seed in drawn_seeds:
            arm = score(s.metric, s.labels[drawn], s.arm[seed][drawn])
            of_seeds.append(arm - score(s.metric, s.labels[drawn], s.reference[seed][drawn]))
        values.append(float(np.mean(of_seeds)))
    return values


@pytest.mark.parametrize("metric", sorted(METRICS))
@pytest.mark.parametrize("seeds", [1, 3])
def test_golden_against_a_slow_loop(metric: str, seeds: int) -> None:
    s = sample(metric, seeds, 41)
    got = multi_bootstrap(metric, s.labels, s.arm, s.reference, resamples=60, rng_seed=5)
    low, high = np.percentile(slow(s, 60, np.random.default_rng(5)), [2.5, 97.5])
    each = [score(metric, s.labels, a) - score(metric, s.labels, r) for a, r in zip(s.arm, s.reference, strict=True)]
    assert (got.mean, got.low, got.high) == pytest.approx((np.mean(each), low, high), abs=1e-10)
    assert (got.n_seeds, got.n_examples, got.resamples, got.rng_seed) == (seeds, 41, 60, 5)
    assert got.seeds_resampled == (seeds > 1)


def test_golden_macro_and_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = [sample("accuracy", 3, 30), sample("pearson", 2, 17)]
    rng = np.random.default_rng(9)
    expected = np.mean([slow(s, 40, rng) for s in samples], axis=0)
    got = macro_bootstrap(samples, resamples=40, rng_seed=9)
    assert (got.low, got.high) == pytest.approx(tuple(np.percentile(expected, [2.5, 97.5])), abs=1e-10)
    assert (got.n_seeds, got.n_examples) == (2, 47)
    monkeypatch.setattr("xtc_study.analysis.stats._BLOCK", 100)
    assert macro_bootstrap(samples, resamples=40, rng_seed=9) == got


@given(
    metric=st.sampled_from(sorted(METRICS)),
    seeds=st.integers(1, 4),
    examples=st.integers(1, 60),
    rng=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_identical_arms_differ_by_exactly_nothing(metric: str, seeds: int, examples: int, rng: int) -> None:
    s = sample(metric, seeds, examples, rng)
    got = multi_bootstrap(metric, s.labels, s.arm, s.arm.copy(), resamples=30)
    assert (got.mean, got.low, got.high) == (0, 0, 0)


def test_the_arms_swapped_change_the_sign() -> None:
    s = sample("matthews", 3, 80)
    one = multi_bootstrap("matthews", s.labels, s.arm, s.reference)
    other = multi_bootstrap("matthews", s.labels, s.reference, s.arm)
    assert (other.mean, other.low, other.high) == pytest.approx((-one.mean, -one.high, -one.low))


def test_pairing_narrows_the_interval() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 300).astype(float)
    reference = np.where(rng.random((3, 300)) < 0.7, labels, 1 - labels)
    arm = reference.copy()
    arm[:, :3] = 1 - arm[:, :3]
    got = multi_bootstrap("accuracy", labels, arm, reference)
    assert got.high - got.low < 0.05  # unpaired, two proportions of 0.7 on 300 examples: +-0.07


def test_two_thousand_resamples_are_quick() -> None:
    for metric in ("accuracy", "f1", "matthews", "pearson"):
        s = sample(metric, 3, 600)
        start = time.process_time()
        multi_bootstrap(metric, s.labels, s.arm, s.reference, resamples=2000)
        assert time.process_time() - start < 2  # 0.05 to 0.2 s on one core; the rest is for a busy machine


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
def test_shapes_that_do_not_fit(labels: tuple[int], arm: tuple[int], reference: tuple[int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        multi_bootstrap("accuracy", np.zeros(labels), np.zeros(arm), np.zeros(reference))


def test_splits_of_the_same_models_share_the_draw_of_seeds() -> None:
    """Only seeds differ, so the mean of two splits of the same models is as uncertain as one of them."""
    labels, right = np.zeros(20), np.array([0.0, 0.0, 1.0])[:, None] * np.ones(20)
    one = PairedSample("m", "accuracy", labels, 1 - right, np.zeros((3, 20)), models="mnli")
    alone, both = macro_bootstrap([one]), macro_bootstrap([one, replace(one, task="mm")])
    assert (both.mean, both.low, both.high) == (alone.mean, alone.low, alone.high)
    apart = macro_bootstrap([replace(one, models="a"), replace(one, models="b")])
    assert apart.high - apart.low < both.high - both.low
    assert apart == macro_bootstrap([replace(one, models=""), replace(one, models="")])
    with pytest.raises(ValueError, match="2 seeds of models 'mnli', expected 3"):
        macro_bootstrap([one, replace(one, arm=one.arm[:2], reference=one.reference[:2])])


def test_no_task_or_no_resample_is_refused() -> None:
    with pytest.raises(ValueError, match="0 tasks"):
        macro_bootstrap([])
    with pytest.raises(ValueError, match="0 resamples"):
        macro_bootstrap([sample("accuracy", 1, 4)], resamples=0)


def test_interval_by_hand() -> None:
    # 1, 2, 3: mean 2, sd 1, t(0.975, 2) = 4.302653 (tables), half = 4.302653 / sqrt(3)
    got = interval([1, 2, 3])
    assert (got.mean, got.low, got.high, got.n) == pytest.approx((2, 2 - 2.484138, 2 + 2.484138, 3), abs=1e-5)


def test_interval_of_one_and_of_none() -> None:
    one, none = interval([0.5]), interval([])
    assert one.mean == 0.5 and np.isnan([one.low, one.high]).all() and one.n == 1
    assert np.isnan([none.mean, none.low, none.high]).all() and none.n == 0


def test_holm_by_hand() -> None:
    # sorted 0.01, 0.03, 0.04 times 3, 2, 1: 0.03, 0.06, and 0.04 raised to 0.06
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == pytest.approx([1, 1])
    assert holm([]).shape == (0,)


BASE = Difference(0, 0, 0, n_seeds=3, n_examples=600, resamples=2000, rng_seed=0)


def test_one_seed_is_explained() -> None:
    one = replace(BASE, n_seeds=1, low=-0.2, high=-0.1)
    claim = Claim("lower", "1-bit", "32-bit")
    assert "only examples are resampled" in explain(claim, one) and "at least 2 seeds" in explain(claim, one)


def test_explain_gives_the_numbers() -> None:
    text = explain(Claim("equivalent", "1-bit", "32-bit", 0.005), replace(BASE, mean=-0.0042, low=-0.009, high=0.0005))
    assert text == (
        "1-bit minus 32-bit: −0.42 points, 95 % interval −0.90 to +0.05; claimed: at most 0.5 points below "  # noqa: RUF001
        "(3 seeds, 600 examples, 2,000 resamples)."
    )
    assert "at most 1 point below" in explain(Claim("equivalent", "a", "b", 0.01), BASE)
    assert "errs more often than its level says" in explain(Claim("lower", "a", "b"), replace(BASE, n_seeds=2))
    assert "claimed: below (" in explain(Claim("lower", "a", "b"), BASE)
    assert "claimed: more than 2 points above (" in explain(Claim("higher", "a", "b", 0.02), BASE)
    assert points(0.5) == "+50.00"


@pytest.mark.parametrize(("kind", "margin"), [("equal", 0.1), ("equivalent", 0.0), ("lower", -0.1), ("lower", 1.0)])
def test_claims_that_cannot_be_judged(kind: str, margin: float) -> None:
    with pytest.raises(ValueError, match="expected"):
        Claim(kind, "a", "b", margin)  # type: ignore[arg-type]


def test_analysis_and_report_start_without_torch() -> None:
    modules = [f"analysis.{name}" for name in ("collect", "stats", "weighted", "compare")]
    modules += [f"report.{name}" for name in ("tables", "plots", "pages")]
    imports = "; ".join(f"import xtc_study.{name}" for name in modules)
    code = f"import sys; {imports}; assert not {{'torch', 'transformers'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
