from __future__ import annotations

import math
from dataclasses import replace

import pytest
from fabricate_report import BAD, BIG, ONE

from xtc_study.report.figures.pareto import score_against_cost


def test_every_point_has_a_mark_and_milliseconds_have_a_second_panel() -> None:
    figure, marks = score_against_cost([ONE, BIG, BAD], title="t")
    assert len(figure.axes) == 1 and len(marks) == 3
    assert marks["mark-a0"].text == "Bits <1>, 1-bit: 90.0 points (seeds from 88.0 to 92.0), 70 kB"
    low = replace(ONE, study="Which rate?", score=0.046, low=-0.049, high=0.141)
    asked = score_against_cost([low], title="t")[1]["mark-a0"].text
    assert asked == "Which rate? 1-bit: 4.6 points (seeds from \N{MINUS SIGN}4.9 to 14.1), 70 kB"
    assert marks["mark-a2"].text == "Bits <1>, bad: 50.0 points, 90 kB" and marks["mark-a0"].href == "study-bits.html"
    drawn = {line.get_gid(): line for line in figure.axes[0].lines if line.get_gid()}
    assert drawn["mark-a2"].get_markerfacecolor() == "#ffffff" != drawn["mark-a0"].get_markerfacecolor()
    assert drawn["mark-a2"].zorder < drawn["mark-a0"].zorder, "a dominated point never covers the Pareto front"
    assert all(text.arrow_patch is not None for text in figure.axes[0].texts), "a line leads from a name to its mark"
    assert [text.get_text() for text in figure.axes[0].texts] == ["1-bit", "8-bit"]
    assert figure.axes[0].get_xscale() == "log"
    timed, marks = score_against_cost([replace(ONE, latency_ms=1.5), BIG], title="t")
    assert len(timed.axes) == 2 and set(marks) == {"mark-a0", "mark-a1", "mark-b0"}
    assert marks["mark-b0"].text.endswith("70 kB, 1.50 ms")
    for nothing in ([], [replace(ONE, score=math.nan)]):
        figure, marks = score_against_cost(nothing, title="t")
        assert not figure.axes and not marks and "No arm is done on every task" in str(figure.get_label())


def test_a_point_just_below_another_has_no_label() -> None:
    close = replace(
        BIG, arm="8-bit, other", score=BIG.score - 0.005, size_bytes=BIG.size_bytes - 30, runs=frozenset({"z"})
    )
    figure, marks = score_against_cost([ONE, BIG, close], title="t")
    assert [text.get_text() for text in figure.axes[0].texts] == ["1-bit", "8-bit"]
    assert len(marks) == 3


def test_the_score_axis_stays_within_possible_scores() -> None:
    """Without a limit, scores of 99.5, 98.5 and 80 would end the axis at 109.25, and scores of 1 and 3 at -1."""
    high = [replace(ONE, score=0.995), replace(BIG, score=0.985), replace(BAD, score=0.8)]
    high = [replace(point, low=point.score, high=point.score) for point in high]
    (panel,) = score_against_cost(high, title="t")[0].axes
    assert panel.get_ylim() == (pytest.approx(70.25), 100)
    perfect = replace(ONE, score=1.0, low=1.0, high=1.0)
    (panel,) = score_against_cost([perfect], title="t")[0].axes
    assert panel.get_ylim() == (98, 100)
    (mark,) = [line for line in panel.lines if line.get_gid()]
    assert not mark.get_clip_on(), "a mark at 100 is drawn whole"
    low = [replace(ONE, score=0.01, low=0.01, high=0.01), replace(BIG, score=0.03, low=0.03, high=0.03)]
    assert score_against_cost(low, title="t")[0].axes[0].get_ylim() == (0, 5)
    below = [replace(low[0], low=-0.02), low[1]]
    assert score_against_cost(below, title="t")[0].axes[0].get_ylim() == (-1, 5)


def test_one_seed_has_no_range() -> None:
    one = replace(ONE, score=0.851, low=0.851, high=0.851)
    assert score_against_cost([one], title="t")[1]["mark-a0"].text == "Bits <1>, 1-bit: 85.1 points, 70 kB"
