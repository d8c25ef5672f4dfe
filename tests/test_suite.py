from __future__ import annotations

import math
from pathlib import Path

import pytest
from fabricate import make_done_run

from xtc_study.analysis.ledger import LEDGER_COLUMNS, ledger_of
from xtc_study.places import Places
from xtc_study.report.figures.claims import claims_at_a_glance
from xtc_study.studies import load_study, study_names
from xtc_study.study import Study
from xtc_study.suite import all_studies, cost_together, progress

CUT = {"weights": ["32-bit", "1-bit"], "activations": ["A8"]}


@pytest.fixture
def bits(tmp_path: Path) -> Study:
    """12_bits, done: every arm right in 90 %, the binary ones with 8-bit inputs in 70 %."""
    study = Study("12_bits", places=Places(tmp_path), seeds=[0, 1, 2])
    for run in study.planned:
        make_done_run(study.places.runs, run, 0.7 if run.arm == "1-bit, A8" else 0.9)
    return study


def test_every_claim_of_every_study_has_a_row(tmp_path: Path) -> None:
    table = ledger_of({one.name: one.page().answers for one in all_studies("smoke", places=Places(tmp_path))})
    assert list(table.columns) == list(LEDGER_COLUMNS)
    assert set(table["study"]) == set(study_names())
    assert (table["verdict"] == "not run").all() and (table["seeds"] == 0).all() and table["difference"].isna().all()
    figure = claims_at_a_glance(table)
    assert not figure.axes and "No claim can be drawn" in str(figure.get_label())


def test_how_far_the_studies_are(bits: Study, tmp_path: Path) -> None:
    other = Study("10_stages", places=Places(tmp_path / "none"))
    done, missing = progress([bits, other]).to_dict("records")
    durations = bits.collect().drop_duplicates("run_id")["duration_s"]
    assert (done["runs"], done["done"], done["failed"]) == (len(bits.planned), len(bits.planned), 0)
    assert done["minutes"] == pytest.approx(durations.sum() / 60) and len(durations) == len(bits.planned)
    assert missing["done"] == 0 and math.isnan(missing["minutes"]), "what was not measured is not written"


def test_the_numbers_of_a_claim(bits: Study) -> None:
    table = ledger_of({bits.name: bits.page().answers}).set_index("claim")
    assert len(table) == len(load_study("12_bits").claims)
    row = table.loc["Binary (1-bit) weights with 8-bit activations cost no more than one point."]
    assert row["verdict"] == "contradicted" and row["seeds"] == 3 and row["examples"] == 200
    assert row["low"] < row["difference"] < row["high"] < row["bound"] == -1.0
    assert 3 / 2001 <= row["p_adjusted"] < 0.01, "three times the p-value: Holm over three claims"
    assert 0 < row["detectable"] < row["high"] - row["low"], "more than half of the interval, less than the whole"


def test_the_figure_has_a_line_a_claim_and_a_legend_of_verdicts(bits: Study) -> None:
    (panel,) = claims_at_a_glance(ledger_of({bits.name: bits.page().answers})).axes
    assert len(panel.get_yticklabels()) == 3
    legend = panel.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["supported", "contradicted", "undecided", "margin"]


def test_steps_that_studies_share_are_counted_once(tmp_path: Path) -> None:
    one = Study("12_bits", seeds=[0], axes=CUT, places=Places(tmp_path))
    alone = cost_together([one])
    both = cost_together([one, Study("12_bits", seeds=[0, 1], axes=CUT, places=Places(tmp_path))])
    assert (alone.steps_alone, alone.steps_shared) == (4, 3), "a teacher and a student each; one teacher"
    assert (both.steps_alone, both.steps_shared) == (8, 6), "the second study has the first one's runs too"
