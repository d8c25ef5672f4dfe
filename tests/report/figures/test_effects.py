"""The figure of effects: one row each, the highest first, and a small mark for each of several tasks."""

from __future__ import annotations

from xtc_study.analysis.factor_effects import Effect
from xtc_study.analysis.stats import Difference
from xtc_study.fractional import Contrast
from xtc_study.report.figures.effects import effects_in_order


def effect(mean: float, *tasks: float) -> Effect:
    def difference(value: float) -> Difference:
        return Difference(value, value - 0.02, value + 0.02, n_seeds=2, n_examples=9, resamples=9, rng_seed=0)

    by_task = {f"task {n}": difference(value) for n, value in enumerate(tasks)}
    return Effect(Contrast("A", (), (1, -1)), difference(mean), by_task, 0.5)


def test_the_highest_effect_is_on_top_with_its_interval_and_tasks() -> None:
    found = {"low": effect(-0.03, -0.05, -0.01), "high": effect(0.04, 0.05, 0.03)}
    (panel,) = effects_in_order(found, "", title="t").axes
    assert [label.get_text() for label in panel.get_yticklabels()] == ["high", "low"]
    lines = [list(line.get_xdata()) for line in panel.lines if len(line.get_xdata())]
    assert lines[1] == [2.0, 6.0] and lines[2] == [4.0], "interval and mean in points, after the line at zero"
    assert [line[0] for line in lines[3:5]] == [5.0, 3.0]
    assert [text.get_text() for text in panel.get_legend().get_texts()] == ["task 0", "task 1"]


def test_one_task_needs_no_mark_of_its_own_and_no_effect_is_a_sentence() -> None:
    (panel,) = effects_in_order({"one": effect(0.01, 0.01)}, "", title="t").axes
    assert panel.get_legend() is None and len(panel.lines) == 3
    figure = effects_in_order({}, "Nothing is done.", title="t")
    assert not figure.axes and figure.get_label() == "Nothing is done."
