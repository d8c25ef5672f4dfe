from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fabricate import make_done_run
from fabricate_report import GRID_ARMS, grid_plan

from xtc_study.analysis.collect import collect
from xtc_study.analysis.factors import factors, seed_scores
from xtc_study.arms import grid
from xtc_study.report.figures.factors import MAX_LINES, looks, one_at_a_time

COLUMNS = ["arm", "seed", "task", "split", "value", "is_primary"]
LAYERS = {f"{layers} layers": {"layers": layers} for layers in (6, 4, 2, 1)}


def test_levels_without_scores_are_left_out_and_lines_break_at_gaps() -> None:
    """Of nine cells, three lack a score: all at 2 layers, and the middle one of the 2-bit line."""
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
        "A line needs two levels that are done on every task, in arms that differ in nothing else. "
        "Done so far: layers: 6 layers; bits: 8-bit."
    )
    assert "bits: none" in str(one_at_a_time(scores[:0], factors(grid_arms), title="t").get_label())


def test_long_level_names_are_slanted_and_omit_the_factor_name() -> None:
    arms = grid({"rate": {f"rate {name}": {"learning_rate": name} for name in ("a" * 12, "b" * 12, "c" * 12)}})
    scores = pd.DataFrame([(arm.name, 0, "t", "dev", 0.5, True) for arm in arms], columns=COLUMNS)
    (panel,) = one_at_a_time(scores, factors(arms), title="t").axes
    labels = panel.get_xticklabels()
    assert [label.get_text() for label in labels] == ["a" * 12, "b" * 12, "c" * 12]
    assert {label.get_rotation() for label in labels} == {35}


def test_each_factor_has_a_panel_with_a_mean_at_every_level(tmp_path: Path) -> None:
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


def test_the_lines_of_a_panel_all_look_different() -> None:
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
