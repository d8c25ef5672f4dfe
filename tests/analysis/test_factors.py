from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from fabricate import make_done_run
from fabricate_report import GRID_ARMS, grid_plan

from xtc_study.analysis.collect import collect
from xtc_study.analysis.factors import arms_along, factors, seed_scores, with_scores
from xtc_study.arms import Arm
from xtc_study.studies import load_study, study_at

COLUMNS = ["arm", "seed", "task", "split", "value", "is_primary"]


def test_each_axis_of_a_grid_is_a_factor() -> None:
    layers, bits = factors(GRID_ARMS)
    assert (layers.name, layers.levels) == ("layers", ("6 layers", "4 layers", "2 layers"))
    assert (bits.name, bits.levels) == ("bits", ("8-bit", "2-bit", "1-bit"))
    assert layers.lines[0] == (
        "8-bit",
        (("6 layers", "6 layers, 8-bit"), ("4 layers", "4 layers, 8-bit"), ("2 layers", "2 layers, 8-bit")),
    )
    assert len(layers.lines) == len(bits.lines) == 3


def test_explicit_arms_that_differ_in_one_factor_form_a_line() -> None:
    order = {factor.name: factor for factor in factors(study_at(load_study("18_xtc"), "smoke").arms)}["order"]
    assert [rest for rest, _ in order.lines] == ["1/2, 2-bit", "1/2, 1-bit"]
    assert order.levels == ("two steps", "one go", "one go, half the steps")


def test_arms_without_factors_or_differing_in_two_form_no_line() -> None:
    assert factors([]) == factors([Arm(name="a"), Arm(name="b")]) == []
    assert factors([Arm(name="a", factors={"x": "1", "y": "1"}), Arm(name="b", factors={"x": "2", "y": "2"})]) == []


def test_a_factor_keeps_at_most_the_given_number_of_lines() -> None:
    arms = study_at(load_study("10_stages"), "smoke").arms
    scores = pd.DataFrame([(arm.name, 0, "t", "dev", 0.5, True) for arm in arms], columns=COLUMNS)
    assert [len(factor.lines) for factor in with_scores(factors(arms), scores, 8)] == [8, 8, 6]


def test_a_factor_names_the_fields_that_its_levels_change() -> None:
    student, teacher = factors(study_at(load_study("30_train_large"), "mini").arms)
    assert (student.name, student.fields[:3]) == ("student", ("weight_bits", "layers", "embedding_bits"))
    assert student.fields[3:] == ("teacher_layers",), "the line of teachers as deep as the student"
    assert (teacher.name, teacher.fields) == ("teacher", ("layers", "teacher_layers"))
    assert [factor.fields for factor in factors(GRID_ARMS)] == [("layers",), ("weight_bits",)]


def test_arms_along_an_axis_are_grouped_by_their_other_labels() -> None:
    groups = arms_along(GRID_ARMS, "layers")
    assert list(groups) == ["8-bit", "2-bit", "1-bit"]
    assert [arm.name for arm in groups["2-bit"]] == ["6 layers, 2-bit", "4 layers, 2-bit", "2 layers, 2-bit"]
    alone = [Arm(name="a", factors={"x": "1"}), Arm(name="b", factors={"x": "2"}), Arm(name="c")]
    assert {others: [arm.name for arm in group] for others, group in arms_along(alone, "x").items()} == {
        "": ["a", "b"]
    }
    with pytest.raises(ValueError, match=r"axis='layer': the arms have layers, bits; did you mean 'layers'\?"):
        arms_along(GRID_ARMS, "layer")


def test_a_level_or_line_without_scores_is_left_out() -> None:
    done = ["6 layers, 8-bit", "4 layers, 8-bit", "6 layers, 2-bit"]
    scores = pd.DataFrame([(arm, 0, "t", "dev", 0.5, True) for arm in done], columns=COLUMNS)
    layers, bits = with_scores(factors(GRID_ARMS), scores, 8)
    assert layers.levels == ("6 layers", "4 layers") and [others for others, _ in layers.lines] == ["8-bit"]
    assert bits.levels == ("8-bit", "2-bit") and [others for others, _ in bits.lines] == ["6 layers"]


def test_only_seeds_with_every_task_done_have_a_score(tmp_path: Path) -> None:
    planned = grid_plan()
    for run in planned:
        make_done_run(tmp_path, run, 0.9)
    frame = collect(tmp_path, planned)
    assert len(seed_scores(frame)) == 27 and seed_scores(frame[frame["seed"] > 0])["seed"].min() == 1
    second = frame[frame["seed"] == 0].assign(task="another")
    assert set(seed_scores(pd.concat([frame, second]))["seed"]) == {0}
