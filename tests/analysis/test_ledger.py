from __future__ import annotations

import math

import pytest
from fabricate import claim

from xtc_study.analysis.claims import Answer
from xtc_study.analysis.ledger import LEDGER_COLUMNS, ledger_of
from xtc_study.analysis.stats import Difference

FOUND = Difference(-0.03, -0.05, -0.01, n_seeds=2, n_examples=300, resamples=9, rng_seed=0)


def test_the_numbers_of_a_claim_are_in_points() -> None:
    lower = claim("lower", "1-bit", "32-bit", 0.02, "One bit costs.", "XTC, table 1")
    table = ledger_of({"bits": [Answer(lower, "supported", "Because.", FOUND, 0.004)]})
    assert list(table.columns) == list(LEDGER_COLUMNS)
    (row,) = table.to_dict("records")
    detectable = row.pop("detectable")
    assert math.isnan(detectable), "without draws nothing is known of it"
    assert row == pytest.approx(
        {
            "study": "bits",
            "claim": "One bit costs.",
            "verdict": "supported",
            "difference": -3.0,
            "low": -5.0,
            "high": -1.0,
            "margin": 2.0,
            "bound": -2.0,
            "p_adjusted": 0.004,
            "seeds": 2,
            "examples": 300,
            "source": "XTC, table 1",
            "label": "supported, on 2 seeds",
            "reasons": "Because.",
        }
    )


@pytest.mark.parametrize(("kind", "bound"), [("higher", 2.0), ("lower", -2.0), ("equivalent", -2.0)])
def test_the_bound_is_the_margin_with_the_sign_of_the_claim(kind: str, bound: float) -> None:
    assert ledger_of({"bits": [Answer(claim(kind, "a", "b", 0.02), "not run", "")]})["bound"].item() == bound


def test_claims_that_were_not_run_have_no_difference_and_studies_keep_their_order() -> None:
    waiting = Answer(claim("lower", "a", "b"), "not run", "No answer yet.")
    table = ledger_of({"second": [waiting], "first": [waiting, waiting], "none": []})
    assert list(table["study"]) == ["second", "first", "first"]
    assert (table["seeds"] == 0).all() and (table["examples"] == 0).all()
    assert table[["difference", "low", "high", "detectable", "p_adjusted"]].isna().all(axis=None)
    assert ledger_of({}).dtypes.equals(table.dtypes)
