from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from fabricate import do
from fabricate_report import GRID_ARMS, grid_plan

from xtc_study.analysis.collect import collect
from xtc_study.arms import Arm
from xtc_study.report.isolation import MAX_LINES, factors, looks, one_at_a_time, seed_scores
from xtc_study.studies import load_study, study_at


def test_each_axis_of_a_grid_is_isolated() -> None:
    layers, bits = factors(GRID_ARMS)
    assert (layers.name, layers.levels) == ("layers", ("6 layers", "4 layers", "2 layers"))
    assert (bits.name, bits.levels) == ("bits", ("8-bit", "2-bit", "1-bit"))
    assert layers.lines[0] == (
        "8-bit",
        (("6 layers", "6 layers, 8-bit"), ("4 layers", "4 layers, 8-bit"), ("2 layers", "2 layers, 8-bit")),
    )
    assert len(layers.lines) == len(bits.lines) == 3


def test_arms_written_out_are_isolated_where_they_differ_in_one_thing() -> None:
    order = {factor.name: factor for factor in factors(study_at(load_study("18_xtc"), "smoke").arms)}["order"]
    assert [rest for rest, _ in order.lines] == ["1/2, 2-bit", "1/2, 1-bit"]
    assert order.levels == ("two steps", "one go", "one go, half the steps")


def test_arms_without_factors_or_that_differ_in_two_isolate_nothing() -> None:
    assert factors([]) == factors([Arm(name="a"), Arm(name="b")]) == []
    assert factors([Arm(name="a", factors={"x": "1", "y": "1"}), Arm(name="b", factors={"x": "2", "y": "2"})]) == []


def test_a_panel_has_no_more_lines_than_can_be_told_apart() -> None:
    arms = study_at(load_study("10_stages"), "smoke").arms
    assert [len(factor.lines) for factor in factors(arms)] == [MAX_LINES, MAX_LINES, 6]


def test_the_figure_has_a_panel_a_factor_and_a_mean_at_every_level(tmp_path: Path) -> None:
    planned = grid_plan()
    for run in planned:
        do(tmp_path, run, 0.9)
    frame = collect(tmp_path, planned)
    scores = seed_scores(frame)
    assert len(scores) == 27
    figure = one_at_a_time(frame, factors(GRID_ARMS), title="One at a time")
    layers, bits = figure.axes
    assert [panel.get_title(loc="left") for panel in (layers, bits)] == ["layers", "bits"]
    line = next(line for line in layers.lines if line.get_label() == "8-bit")
    means = [100 * scores.loc[scores["arm"] == f"{n} layers, 8-bit", "score"].mean() for n in (6, 4, 2)]
    assert list(line.get_ydata()) == pytest.approx(means)
    with pytest.raises(ValueError, match="no factor"):
        one_at_a_time(frame, [], title="t")
    assert seed_scores(frame[frame["seed"] > 0])["seed"].min() == 1


def test_no_two_lines_of_a_panel_look_alike() -> None:
    assert len(set(itertools.islice(looks(), MAX_LINES))) == MAX_LINES
