from __future__ import annotations

import math

import pandas as pd
from fabricate_report import BIG, ONE

from xtc_study.analysis.baselines import Baseline
from xtc_study.report.baselines import with_baselines
from xtc_study.report.figures.pareto import score_against_cost
from xtc_study.report.pareto import pareto_drawing
from xtc_study.report.tables import PageTable

NONE = Baseline("majority", "one answer", 0.5, math.nan, "the best constant")
STATIC = Baseline("static table", "128 dimensions, 1 bit", 0.77, 519_250, "no transformer", 0.2, "1x128")
TABLE = PageTable(
    pd.DataFrame({"Arm": ["1-bit (reference)"], "Score": ["72.0"], "Difference": ["0"], "On disk": ["3.9 MB"]}),
    "Scores.",
    pd.DataFrame({"Score": [0.72], "Difference": [0.0], "On disk": [3.9e6]}),
)


def test_baselines_are_marked_rows_without_a_difference() -> None:
    table = with_baselines(TABLE, [NONE, STATIC])
    assert table.text["Arm"].tolist() == [
        "1-bit (reference)",
        "Baseline: one answer",
        "Baseline: static table, 128 dimensions, 1 bit",
    ]
    assert table.text["Score"].tolist() == ["72.0", "50.0", "77.0"]
    assert table.text["On disk"].tolist() == ["3.9 MB", "\N{EN DASH}", "519 kB"]
    assert set(table.text["Difference"][1:]) == {"\N{EN DASH}"}
    assert table.order is not None and table.order["Score"].tolist() == [0.72, 0.5, 0.77]
    assert table.order["Difference"].isna().tolist() == [False, True, True]
    assert "no arms of the comparison" in table.caption and "no transformer" in table.caption
    assert with_baselines(TABLE, []) is TABLE


def test_the_figure_shows_those_with_a_file_and_names_all() -> None:
    figure, marks = score_against_cost([ONE, BIG], title="t", beside=[NONE, STATIC])
    assert marks["baseline-a0"].text == "static table, 128 dimensions, 1 bit: 77.0 points; no transformer"
    assert marks["baseline-a0"].href == "#front" and len(marks) == 3 and len(figure.axes) == 1
    legend = figure.axes[0].get_legend()
    assert legend is not None and "baseline" in [text.get_text() for text in legend.get_texts()]
    drawing = pareto_drawing([ONE, BIG], [NONE, STATIC])
    assert "one answer 50.0; static table, 128 dimensions, 1 bit 77.0 (519 kB)" in drawing.caption
    assert "2 of 2 arms are on the Pareto front" in drawing.alt, "a baseline beats no arm there"
    assert "Stars" not in pareto_drawing([ONE, BIG]).caption
