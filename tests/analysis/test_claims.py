from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from fabricate import make_done_run, plan_runs

from xtc_study.analysis.claims import answers, comparisons_of, p_text, p_values, verdicts
from xtc_study.analysis.collect import collect
from xtc_study.analysis.stats import Claim, Difference, p_no_difference, paired_difference

Kind = Literal["equivalent", "lower", "higher"]


def difference(drawn: np.ndarray, seeds: int = 3) -> Difference:
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Difference(float(drawn.mean()), float(low), float(high), seeds, 100, len(drawn), 0, drawn)


def around(mean: float, spread: float = 0.001, n: int = 999) -> Difference:
    return difference(mean + spread * np.linspace(-1, 1, n))


def claim(kind: Kind, margin: float = 0.01) -> Claim:
    return Claim(kind, "arm", "reference", margin)


def test_p_values_by_hand() -> None:
    """Of 9 resamples 2 are at most 0, and one of them is 0: "higher" is true in 7 and false in 2."""
    found = difference(np.array([-2.0, 0.0, 1, 2, 3, 4, 5, 6, 7]) / 100)
    assert p_no_difference(found) == pytest.approx(2 * 3 / 10)
    assert p_values(claim("higher", 0.0), found) == pytest.approx((3 / 10, 8 / 10))
    assert p_values(claim("lower", 0.0), found) == pytest.approx((9 / 10, 2 / 10))
    assert p_values(claim("equivalent", 0.015), found) == pytest.approx((2 / 10, 9 / 10))
    assert p_values(claim("higher", 0.065), found) == pytest.approx((9 / 10, 2 / 10))


def test_no_difference_at_all_is_not_higher() -> None:
    nothing = difference(np.zeros(999))
    assert verdicts([(claim("higher", 0.0), nothing)])[0][0] == "contradicted"
    assert verdicts([(claim("lower", 0.0), nothing)])[0][0] == "contradicted"
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
def test_one_claim_is_judged_as_its_interval_is(kind: Kind, mean: float, verdict: str) -> None:
    assert [found for found, _ in verdicts([(claim(kind), around(mean))])] == [verdict]


def test_a_family_is_stricter_than_one_claim() -> None:
    """2 % of the resamples contradict: enough alone at 2.5 %, not among three claims."""
    drawn = np.concatenate([np.full(19, -0.02), np.full(980, 0.0)])
    item = (claim("equivalent"), difference(drawn))
    assert verdicts([item])[0] == ("supported", pytest.approx(0.02))
    assert verdicts([item] * 3)[0] == ("undecided", pytest.approx(0.06))
    sure = (claim("equivalent"), around(0.0))
    assert [verdict for verdict, _ in verdicts([item, sure])] == ["supported", "supported"], "step down: 0.02 x 1"


def test_one_seed_decides_nothing() -> None:
    assert verdicts([(claim("equivalent"), replace(around(0.0), n_seeds=1))])[0][0] == "undecided"


@pytest.mark.parametrize("kind", ["equivalent", "lower", "higher"])
def test_a_claim_and_its_opposite_are_not_both_likely(kind: Kind) -> None:
    for mean in np.linspace(-0.03, 0.03, 13):
        p_false, p_true = p_values(claim(kind), around(float(mean), 0.01))
        assert p_false + p_true >= 1 - 1e-9, "no resample speaks against both"


def test_answers_in_words() -> None:
    claims = [("They are alike.", claim("equivalent")), ("It is far.", Claim("lower", "other", "reference", 0.0))]
    found = answers(claims, {"reference": {"arm": around(0.0)}})
    assert [answer.verdict for answer in found] == [answer.told for answer in found] == ["supported", "not run"]
    assert "P-value of 'the claim is false': 0.001" in found[0].reasons
    assert "3 seeds, 100 examples" in found[0].reasons and "claimed: at most 1 point below" in found[0].reasons
    assert "Not every task is done for both other and reference" in found[1].reasons
    assert [answer.verdict for answer in answers(claims, {}, nothing_done=True)] == ["not run", "not run"]
    (told,) = answers(claims[:1], {"reference": {}}, broken={("arm", "reference"): "The file is gone."})
    assert (told.verdict, told.reasons) == ("undecided", "The file is gone.")


def test_a_verdict_on_few_seeds_says_so() -> None:
    for seeds, told in ((1, "undecided, on 1 seed"), (2, "supported, on 2 seeds"), (3, "supported")):
        found = {"reference": {"arm": replace(around(0.0), n_seeds=seeds)}}
        (answer,) = answers([("They are alike.", claim("equivalent"))], found)
        assert answer.told == told and answer.verdict == told.partition(",")[0]


def test_what_only_the_adjustment_left_undecided_is_told() -> None:
    """2 % of the resamples are not beyond the margin: enough alone at 2.5 %, not among two claims."""
    drawn = np.concatenate([np.full(19, 0.0), np.full(980, -0.02)])
    claims = [("Alike.", claim("equivalent")), ("Also.", Claim("equivalent", "other", "reference", 0.01))]
    first, second = answers(claims, {"reference": {"arm": difference(drawn), "other": around(-0.01)}})
    assert first.verdict == second.verdict == "undecided"
    assert (
        "P-values: 1.000 of 'the claim is false', 0.040 of 'the claim is true', Holm over 2 claims." in first.reasons
    )
    assert first.reasons.endswith("By itself it would be contradicted (p 0.020), after Holm over 2 claims it is not.")
    assert "By itself" not in second.reasons
    (alone,) = answers(claims[1:], {"reference": {"other": around(-0.01)}})
    assert "Holm" not in alone.reasons and "of 'the claim is true'." in alone.reasons


def test_one_arm_that_cannot_be_read_leaves_the_others_compared(tmp_path: Path) -> None:
    planned = plan_runs({"32-bit": 32, "2-bit": 2, "1-bit": 1}, seeds=2)
    for run in planned:
        make_done_run(tmp_path, run, 0.95 if run.arm == "32-bit" else 0.75)
    bad = next(run for run in planned if run.arm == "2-bit")
    (tmp_path / bad.run_id / "predictions.parquet").write_bytes(b"")
    claims = [(arm, Claim("lower", arm, "32-bit")) for arm in ("2-bit", "1-bit")]
    found, broken = comparisons_of(tmp_path, collect(tmp_path, planned), claims, "32-bit")
    assert set(found["32-bit"]) == {"1-bit"} and set(broken) == {("2-bit", "32-bit")}
    unread, lower = answers(claims, found, broken)
    assert unread.verdict == "undecided" and bad.run_id in unread.reasons and lower.verdict == "supported"


def test_small_p_values_are_not_zero() -> None:
    assert (p_text(0.0004), p_text(0.0312), p_text(1.0)) == ("< 0.001", "0.031", "1.000")
