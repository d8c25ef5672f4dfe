from __future__ import annotations

import warnings

import pandas as pd
import pytest
from fabricate import TASKS, make_done_run, plan_runs

from xtc_study.analysis.collect import collect
from xtc_study.report.figures.seeds import seeds_by_arm, seeds_finding
from xtc_study.report.figures.style import figure_svg


@pytest.fixture(scope="module")
def frame(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    runs = tmp_path_factory.mktemp("runs")
    planned = plan_runs({"1-bit": 1, "$32<bit": 32})
    for run in planned:
        make_done_run(runs, run)
    return collect(runs, planned)


def test_every_seed_is_a_dot_in_the_panel_of_its_task(frame: pd.DataFrame) -> None:
    figure = seeds_by_arm(frame, "$32<bit", title="Does it hold?", chance={(TASKS[0], "dev"): 0.5})
    assert [panel.get_title(loc="left") for panel in figure.axes] == list(TASKS)
    primary = frame[frame["is_primary"]]
    for panel, task in zip(figure.axes, TASKS, strict=True):
        assert [label.get_text() for label in panel.get_xticklabels()] == ["$32<bit", "1-bit"]
        assert panel.get_ylabel() == "accuracy (points)"
        dots = [line for line in panel.lines if line.get_marker() in "os"]
        drawn = sorted(float(y) for line in dots for y in line.get_ydata())
        assert drawn == pytest.approx(sorted(100 * primary.loc[primary["task"] == task, "value"]))
    markers = [{line.get_marker() for line in panel.lines} & set("os") for panel in figure.axes]
    assert markers == [{"o"}, {"s"}]
    assert any("chance\n50.0" in text.get_text() for text in figure.axes[0].texts)
    assert not any("chance" in text.get_text() for text in figure.axes[1].texts)
    assert any(text.get_text().startswith("teacher\n9") for text in figure.axes[1].texts)


def test_the_teacher_line_counts_each_teacher_once(frame: pd.DataFrame) -> None:
    """Teachers of three seeds score 90, 96 and 96, whose mean is 94. Counted by rows, the first would weigh double."""
    teachers = frame["seed"].map({0: 0.9, 1: 0.96, 2: 0.96})
    half = frame.assign(teacher_value=teachers)[(frame["arm"] == "1-bit") | (frame["seed"] == 0)]
    for panel in seeds_by_arm(half, "1-bit", title="t").axes:
        assert [text.get_text() for text in panel.texts] == ["teacher\n94.0"]
        (line,) = [line for line in panel.lines if line.get_linestyle() == "--"]
        assert line.get_ydata()[0] == pytest.approx(94.0)


def test_labels_below_zero_have_a_true_minus(frame: pd.DataFrame) -> None:
    panel = seeds_by_arm(frame.assign(teacher_value=-0.0494), "1-bit", title="t").axes[0]
    assert [text.get_text() for text in panel.texts] == ["teacher\n\N{MINUS SIGN}4.9"]


def test_teachers_of_several_depths_are_drawn_at_their_arms(frame: pd.DataFrame) -> None:
    shallow = frame["arm"] == "1-bit"
    other = frame.assign(
        teacher_layers=frame["teacher_layers"].mask(shallow, "1/2"),
        teacher_value=frame["teacher_value"].mask(shallow, 0.125),
    )
    panel = seeds_by_arm(other, "$32<bit", title="Does it hold?").axes[0]
    assert [text.get_text() for text in panel.texts if "teacher" in text.get_text()] == ["each arm's\nown teacher"]
    lines = [line for line in panel.lines if line.get_linestyle() == "--"]
    assert [list(line.get_xdata()) for line in lines] == [[-0.4, 0.4], [0.6, 1.4]]
    own = frame[frame["is_primary"] & (frame["task"] == TASKS[0]) & ~shallow]["teacher_value"].mean()
    assert [line.get_ydata()[0] for line in lines] == pytest.approx([100 * own, 12.5])


def test_chance_close_to_the_scores_is_a_line(frame: pd.DataFrame) -> None:
    near = frame["value"][frame["is_primary"]].min() - 0.01
    without, with_line = (seeds_by_arm(frame, "1-bit", title="t", chance=c) for c in (None, {(TASKS[0], "dev"): near}))
    assert len(with_line.axes[0].lines) == len(without.axes[0].lines) + 1


def test_one_seed_has_no_interval_and_an_empty_frame_no_panel(frame: pd.DataFrame) -> None:
    one = seeds_by_arm(frame[frame["seed"] == 0], "1-bit", title="t")
    assert all(len(line.get_xdata()) == 1 or line.get_linestyle() == "--" for line in one.axes[0].lines)
    nothing = seeds_by_arm(frame[:0], "1-bit", title="t")
    assert not nothing.axes and "No run of this study is done yet" in str(nothing.get_label())


def test_the_finding_names_the_largest_loss(frame: pd.DataFrame) -> None:
    primary = frame[frame["is_primary"]]
    gaps = 100 * (primary["teacher_value"] - primary["value"])
    worst = gaps.groupby([primary["task"], primary["arm"]]).mean()
    task, arm = worst.idxmax()
    assert seeds_finding(frame) == (
        f"The largest loss against the teacher is {worst.max():.1f} points ({arm} on {task})."
    )
    assert seeds_finding(frame.assign(value=1.0, teacher_value=0.5)).startswith("No arm scores below")
    assert seeds_finding(frame.assign(teacher_value=float("nan"))) == ""


def test_many_arms_get_a_wider_panel_and_slanted_names(frame: pd.DataFrame) -> None:
    many = pd.concat([frame.assign(arm=f"arm number {n}") for n in range(9)])
    figure = seeds_by_arm(many, "arm number 0", title="t")
    assert all(label.get_rotation() == 35 for label in figure.axes[0].get_xticklabels())
    assert figure.get_figwidth() > seeds_by_arm(frame, "1-bit", title="t").get_figwidth()


def test_the_score_axis_stays_within_possible_scores(frame: pd.DataFrame) -> None:
    half = frame[(frame["task"] == TASKS[0]) | (frame["arm"] == "1-bit")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a layout that collapses
        assert figure_svg(seeds_by_arm(half, "1-bit", title="t"), "an arm without a seed of one task")
    for values, teacher, ends in (
        ((1.0, 0.5), 1.0, (44, 100)),
        ((0.0, 0.5), 0.5, (0, 56)),
        ((-0.98, 1.0), 1, (-100, 100)),
    ):
        shown = frame.assign(value=frame["seed"].map({0: values[0]}).fillna(values[1]), teacher_value=teacher)
        for panel in seeds_by_arm(shown, "1-bit", title="t").axes:
            assert panel.get_ylim() == pytest.approx(ends)
