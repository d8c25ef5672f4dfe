from __future__ import annotations

from pathlib import Path

import pytest
from fabricate import do
from fabricate_report import grid_plan

from xtc_study.analysis.collect import collect
from xtc_study.recipe import Recipe
from xtc_study.report.isolation import factors, one_at_a_time, seed_scores
from xtc_study.studies import PlannedRun


def arms(*fields: dict[str, object]) -> list[PlannedRun]:
    recipes = [Recipe(task="toy-pairs", **values) for values in fields]  # type: ignore[arg-type]
    return [PlannedRun("s", recipe.run_id, f"arm {n}", recipe) for n, recipe in enumerate(recipes)]


def test_each_factor_of_a_grid_is_isolated() -> None:
    layers, bits = factors(grid_plan())
    assert (layers.name, layers.levels) == ("layers", ("2", "4", "6"))
    assert (bits.name, bits.levels) == ("weight bits", ("1", "2", "8"))
    assert layers.lines[0] == (
        "weight bits 8",
        (("2", "2 layers, 8-bit"), ("4", "4 layers, 8-bit"), ("6", "6 layers, 8-bit")),
    )
    assert len(layers.lines) == len(bits.lines) == 3


def test_fields_that_move_together_are_one_factor() -> None:
    (budget,) = factors(arms({"epochs": 1, "reduce_epochs": 1}, {"epochs": 3, "reduce_epochs": 3}))
    assert budget.fields == ("reduce_epochs", "epochs") and budget.name == "reduce epochs and epochs"
    assert budget.lines == (("", (("1.0 / 1.0", "arm 0"), ("3.0 / 3.0", "arm 1"))),)


def test_arms_that_differ_in_two_things_isolate_neither() -> None:
    assert factors(arms({"weight_bits": 1, "layers": 3}, {"weight_bits": 2, "layers": 6}, {"stages": 2})) == []
    assert factors([]) == []


def test_the_figure_has_a_panel_a_factor_and_a_mean_at_every_level(tmp_path: Path) -> None:
    planned = grid_plan()
    for run in planned:
        do(tmp_path, run, 0.9)
    frame = collect(tmp_path, planned)
    scores = seed_scores(frame)
    assert len(scores) == 27
    figure = one_at_a_time(frame, factors(planned), title="One at a time")
    layers, bits = figure.axes
    assert [panel.get_title(loc="left") for panel in (layers, bits)] == ["layers", "weight bits"]
    line = next(line for line in layers.lines if line.get_label() == "weight bits 8")
    means = [100 * scores.loc[scores["arm"] == f"{n} layers, 8-bit", "score"].mean() for n in (2, 4, 6)]
    assert list(line.get_ydata()) == pytest.approx(means)
    with pytest.raises(ValueError, match="no factor"):
        one_at_a_time(frame, [], title="t")
    assert seed_scores(frame[frame["seed"] > 0])["seed"].min() == 1
