from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fabricate import make_done_run
from fabricate_report import GRID_ARMS, grid_plan

from xtc_study.analysis.collect import collect
from xtc_study.arms import Arm, grid
from xtc_study.report.figures.factors import MAX_LINES, factors, looks, one_at_a_time, seed_scores, with_data
from xtc_study.studies import load_study, study_at

COLUMNS = ["arm", "seed", "task", "split", "value", "is_primary"]
LAYERS = {f"{layers} layers": {"layers": layers} for layers in (6, 4, 2, 1)}


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
    scores = pd.DataFrame([(arm.name, 0, "t", "dev", 0.5, True) for arm in arms], columns=COLUMNS)
    assert [len(factor.lines) for factor in with_data(factors(arms), scores)] == [MAX_LINES, MAX_LINES, 6]


def test_a_factor_names_the_fields_that_its_levels_change() -> None:
    student, teacher = factors(study_at(load_study("30_train_large"), "mini").arms)
    assert (student.name, student.fields[:3]) == ("student", ("weight_bits", "layers", "embedding_bits"))
    assert student.fields[3:] == ("teacher_layers",), "the line of teachers as deep as the student"
    assert (teacher.name, teacher.fields) == ("teacher", ("layers", "teacher_layers"))
    assert [factor.fields for factor in factors(GRID_ARMS)] == [("layers",), ("weight_bits",)]


def test_levels_without_scores_are_left_out_and_lines_break_where_one_is_missing() -> None:
    """Of nine cells: nothing at 2 layers, and of the 2-bit line not the middle."""
    arms = [f"{layers} layers, {bits}-bit" for layers in (6, 4, 1) for bits in (8, 2, 1)]
    grid_arms = grid({"layers": LAYERS, "bits": {f"{bits}-bit": {"weight_bits": bits} for bits in (8, 2, 1)}})
    done = [arm for arm in arms if arm != "4 layers, 2-bit"]
    scores = pd.DataFrame([(arm, 0, "t", "dev", 0.5, True) for arm in done], columns=COLUMNS)
    (panel, _) = one_at_a_time(scores, factors(grid_arms), title="t").axes
    assert [label.get_text() for label in panel.get_xticklabels()] == ["6 layers", "4 layers", "1 layers"]
    drawn = {line.get_label(): list(line.get_ydata()) for line in panel.lines}
    assert drawn["8-bit"] == [50, 50, 50] and drawn["2-bit"] == pytest.approx([50, np.nan, 50], nan_ok=True)
    figure = one_at_a_time(scores[:1], factors(grid_arms), title="t")
    assert not figure.axes and str(figure.get_label()).startswith(
        "A line needs two levels that are done on every task, in arms that differ in nothing else: "
        "of layers there is 6 layers; of bits there is 8-bit."
    )
    assert "of bits there is none" in str(one_at_a_time(scores[:0], factors(grid_arms), title="t").get_label())


def test_many_long_levels_stand_slanted_and_do_not_repeat_the_factor_s_name() -> None:
    arms = grid({"rate": {f"rate {name}": {"learning_rate": name} for name in ("a" * 12, "b" * 12, "c" * 12)}})
    scores = pd.DataFrame([(arm.name, 0, "t", "dev", 0.5, True) for arm in arms], columns=COLUMNS)
    (panel,) = one_at_a_time(scores, factors(arms), title="t").axes
    labels = panel.get_xticklabels()
    assert [label.get_text() for label in labels] == ["a" * 12, "b" * 12, "c" * 12]
    assert {label.get_rotation() for label in labels} == {35}


def test_the_figure_has_a_panel_a_factor_and_a_mean_at_every_level(tmp_path: Path) -> None:
    planned = grid_plan()
    for run in planned:
        make_done_run(tmp_path, run, 0.9)
    frame = collect(tmp_path, planned)
    scores = seed_scores(frame)
    assert len(scores) == 27
    figure = one_at_a_time(frame, factors(GRID_ARMS), title="One at a time")
    layers, bits = figure.axes
    assert [panel.get_title(loc="left") for panel in (layers, bits)] == ["layers", "bits"]
    line = next(line for line in layers.lines if line.get_label() == "8-bit")
    means = [100 * scores.loc[scores["arm"] == f"{n} layers, 8-bit", "score"].mean() for n in (6, 4, 2)]
    assert list(line.get_ydata()) == pytest.approx(means)
    assert "No two arms" in str(one_at_a_time(frame, [], title="t").get_label())
    assert seed_scores(frame[frame["seed"] > 0])["seed"].min() == 1


def test_no_two_lines_of_a_panel_look_alike() -> None:
    assert len(set(itertools.islice(looks(), MAX_LINES))) == MAX_LINES


def test_a_perfect_score_ends_the_axis(tmp_path: Path) -> None:
    planned = grid_plan()
    for run in planned:
        make_done_run(tmp_path, run, 0.9)
    frame = collect(tmp_path, planned)
    frame = frame.assign(value=frame["seed"].map({0: 1.0}).fillna(0.9))
    for panel in one_at_a_time(frame, factors(GRID_ARMS), title="t").axes:
        low, high = panel.get_ylim()
        assert high == 100 and low == pytest.approx(88.8)
