from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from fabricate import claim, make_done_run, plan_runs

from xtc_study.analysis.claims import answers, comparisons_of, explain, p_text, p_values, verdicts
from xtc_study.analysis.collect import collect
from xtc_study.analysis.stats import Difference, p_no_difference, paired_difference, points
from xtc_study.studies import ClaimSpec

Kind = Literal["equivalent", "lower", "higher"]


def difference(drawn: np.ndarray, seeds: int = 3) -> Difference:
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Difference(float(drawn.mean()), float(low), float(high), seeds, 100, len(drawn), 0, drawn)


def around(mean: float, spread: float = 0.001, n: int = 999) -> Difference:
    return difference(mean + spread * np.linspace(-1, 1, n))


def about(kind: Kind, margin: float = 0.01) -> ClaimSpec:
    return claim(kind, "arm", "reference", margin)


def test_p_values_by_hand() -> None:
    """Of 9 resamples 2 are at most 0, and one of them is 0: "higher" is true in 7 and false in 2."""
    found = difference(np.array([-2.0, 0.0, 1, 2, 3, 4, 5, 6, 7]) / 100)
    assert p_no_difference(found) == pytest.approx(2 * 3 / 10)
    assert p_values(about("higher", 0.0), found) == pytest.approx((3 / 10, 8 / 10))
    assert p_values(about("lower", 0.0), found) == pytest.approx((9 / 10, 2 / 10))
    assert p_values(about("equivalent", 0.015), found) == pytest.approx((2 / 10, 9 / 10))
    assert p_values(about("higher", 0.065), found) == pytest.approx((9 / 10, 2 / 10))


def test_a_difference_of_zero_does_not_support_higher() -> None:
    nothing = difference(np.zeros(999))
    assert verdicts([(about("higher", 0.0), nothing)])[0][0] == "contradicted"
    assert verdicts([(about("lower", 0.0), nothing)])[0][0] == "contradicted"
    assert p_no_difference(nothing) == 1.0


def test_a_difference_keeps_its_draws() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 80).astype(float)
    arm, reference = (np.where(rng.random((3, 80)) < right, labels, 1 - labels) for right in (0.9, 0.7))
    found = paired_difference("accuracy", labels, arm, reference, resamples=400)
    assert found.drawn.shape == (400,)
    assert np.percentile(found.drawn, [2.5, 97.5]) == pytest.approx([found.low, found.high])


@pytest.mark.parametrize(
    ("kind", "mean", "verdict"),
    [
        ("equivalent", 0.0, "supported"),
        ("equivalent", 0.5, "supported"),
        ("equivalent", -0.02, "contradicted"),
        ("equivalent", -0.01, "undecided"),
        ("lower", -0.02, "supported"),
        ("lower", 0.0, "contradicted"),
        ("higher", 0.02, "supported"),
        ("higher", 0.0, "contradicted"),
        ("higher", 0.01, "undecided"),
    ],
)
def test_the_verdict_on_a_single_claim_agrees_with_its_interval(kind: Kind, mean: float, verdict: str) -> None:
    assert [found for found, _ in verdicts([(about(kind), around(mean))])] == [verdict]


def test_holm_makes_a_family_stricter_than_a_single_claim() -> None:
    """2 % of the resamples contradict: enough alone at 2.5 %, not among three claims."""
    drawn = np.concatenate([np.full(19, -0.02), np.full(980, 0.0)])
    item = (about("equivalent"), difference(drawn))
    assert verdicts([item])[0] == ("supported", pytest.approx(0.02))
    assert verdicts([item] * 3)[0] == ("undecided", pytest.approx(0.06))
    sure = (about("equivalent"), around(0.0))
    assert [verdict for verdict, _ in verdicts([item, sure])] == ["supported", "supported"], "step down: 0.02 x 1"


def test_one_seed_decides_nothing() -> None:
    assert verdicts([(about("equivalent"), replace(around(0.0), n_seeds=1))])[0][0] == "undecided"


@pytest.mark.parametrize("kind", ["equivalent", "lower", "higher"])
def test_the_p_values_of_a_claim_and_its_opposite_sum_to_at_least_one(kind: Kind) -> None:
    for mean in np.linspace(-0.03, 0.03, 13):
        p_false, p_true = p_values(about(kind), around(float(mean), 0.01))
        assert p_false + p_true >= 1 - 1e-9, "no resample speaks against both"


def test_answers_give_verdicts_and_reasons() -> None:
    claims = [about("equivalent"), claim("lower", "other", "reference")]
    found = answers(claims, {"reference": {"arm": around(0.0)}})
    assert [answer.verdict for answer in found] == [answer.label for answer in found] == ["supported", "not run"]
    assert "P-value of 'the claim is false': 0.001" in found[0].reasons
    assert "3 seeds, 100 examples" in found[0].reasons and "claimed: at most 1 point below" in found[0].reasons
    assert "other and reference cannot be compared until" in found[1].reasons
    assert [answer.verdict for answer in answers(claims, {}, nothing_done=True)] == ["not run", "not run"]
    (answer,) = answers(claims[:1], {"reference": {}}, broken={("arm", "reference"): "The file is gone."})
    assert (answer.verdict, answer.reasons) == ("undecided", "The file is gone.")


def test_the_label_of_a_verdict_names_few_seeds() -> None:
    for seeds, label in ((1, "undecided, on 1 seed"), (2, "supported, on 2 seeds"), (3, "supported")):
        found = {"reference": {"arm": replace(around(0.0), n_seeds=seeds)}}
        (answer,) = answers([about("equivalent")], found)
        assert answer.label == label and answer.verdict == label.partition(",")[0]


def test_reasons_name_a_verdict_that_only_the_adjustment_removed() -> None:
    """2 % of the resamples are not beyond the margin: enough alone at 2.5 %, not among two claims."""
    drawn = np.concatenate([np.full(19, 0.0), np.full(980, -0.02)])
    claims = [about("equivalent"), claim("equivalent", "other", "reference", 0.01)]
    first, second = answers(claims, {"reference": {"arm": difference(drawn), "other": around(-0.01)}})
    assert first.verdict == second.verdict == "undecided"
    assert (
        "P-values: 1.000 of 'the claim is false', 0.040 of 'the claim is true', Holm over 2 claims." in first.reasons
    )
    assert first.reasons.endswith(
        "Tested alone it would be contradicted (p 0.020); after Holm over 2 claims it is not."
    )
    assert "Tested alone" not in second.reasons
    (alone,) = answers(claims[1:], {"reference": {"other": around(-0.01)}})
    assert "Holm" not in alone.reasons and "of 'the claim is true'." in alone.reasons


def test_other_arms_are_compared_when_one_cannot_be_read(tmp_path: Path) -> None:
    planned = plan_runs({"32-bit": 32, "2-bit": 2, "1-bit": 1}, seeds=2)
    for run in planned:
        make_done_run(tmp_path, run, 0.95 if run.arm == "32-bit" else 0.75)
    bad = next(run for run in planned if run.arm == "2-bit")
    (tmp_path / bad.run_id / "predictions.parquet").write_bytes(b"")
    claims = [claim("lower", arm, "32-bit") for arm in ("2-bit", "1-bit")]
    found, broken = comparisons_of(tmp_path, collect(tmp_path, planned), claims, "32-bit")
    assert set(found["32-bit"]) == {"1-bit"} and set(broken) == {("2-bit", "32-bit")}
    unread, lower = answers(claims, found, broken)
    assert unread.verdict == "undecided" and bad.run_id in unread.reasons and lower.verdict == "supported"


def test_small_p_values_are_not_zero() -> None:
    assert (p_text(0.0004), p_text(0.0312), p_text(1.0)) == ("< 0.001", "0.031", "1.000")


BASE = Difference(0, 0, 0, n_seeds=3, n_examples=600, resamples=2000, rng_seed=0)


def test_explain_names_what_one_seed_cannot_show() -> None:
    one = replace(BASE, n_seeds=1, low=-0.2, high=-0.1)
    lower = claim("lower", "1-bit", "32-bit")
    assert "the interval covers the choice of examples only" in explain(lower, one)
    assert "a verdict needs at least 2 seeds" in explain(lower, one)


def test_explain_gives_the_numbers() -> None:
    drawn = -0.0042 + np.linspace(-0.0065, 0.0065, 1001)  # quantiles 0.00617 at 97.5 % and 0.0039 at 80 %
    text = explain(
        claim("equivalent", "1-bit", "32-bit", 0.005),
        replace(BASE, mean=-0.0042, low=-0.009, high=0.0005, drawn=drawn),
    )
    assert text == (
        "1-bit minus 32-bit: −0.42 points, 95 % interval −0.90 to +0.05; claimed: at most 0.5 points below "  # noqa: RUF001
        "(3 seeds, 600 examples, 2,000 resamples; these seeds alone could detect a difference of 1.0 points in 80 % "
        "of cases)."
    )
    none_possible = replace(BASE, drawn=drawn, span=0.001)
    assert "could not detect even the largest possible difference)" in explain(claim("lower", "a", "b"), none_possible)
    assert "at most 1 point below" in explain(claim("equivalent", "a", "b", 0.01), BASE)
    assert "claimed: below (" in explain(claim("lower", "a", "b"), BASE)
    assert "claimed: more than 2 points above (" in explain(claim("higher", "a", "b", 0.02), BASE)
    assert points(0.5) == "+50.00"
