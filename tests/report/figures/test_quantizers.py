from __future__ import annotations

import numpy as np

from xtc_study.report.figures.quantizers import bars, grids, levels, lines, staircases
from xtc_study.report.figures.style import figure_svg

WEIGHTS = np.linspace(-1, 1, 101)


def test_each_quantiser_has_a_panel_with_its_values() -> None:
    signs = np.where(WEIGHTS >= 0, 0.5, -0.5)
    figure = staircases(WEIGHTS, {"1 bit": signs, "left": WEIGHTS}, title="Staircases")
    drawn = [panel.lines[1].get_ydata() for panel in figure.axes]
    assert np.array_equal(drawn[0], signs) and np.array_equal(drawn[1], WEIGHTS)
    figure = levels(WEIGHTS, {"1 bit": signs}, title="Levels")
    assert figure.axes[0].get_title(loc="left") == "1 bit: 2 values"
    assert "<svg" in figure_svg(figure, "levels")


def test_bars_show_their_values() -> None:
    texts = [text.get_text() for text in grids({"W": np.array([[0.5, -1.0]])}, title="W").axes[0].texts]
    assert texts == ["0.5", "\N{MINUS SIGN}1"]
    assert [text.get_text() for text in bars({"a": 0.25, "b": 1234.0}, xlabel="x", title="t").axes[0].texts] == [
        "0.25",
        "1,234",
    ]


def test_a_row_of_panels_fits_a_notebook_cell() -> None:
    four = {f"{bits} bits": WEIGHTS for bits in (1, 2, 4, 8)}
    for figure in (staircases(WEIGHTS, four, title="t"), levels(WEIGHTS, four, title="t")):
        assert figure.get_figwidth() <= 10.0, "at 96 pixels an inch, JupyterLab's cell has 1,008"
    assert staircases(WEIGHTS, {"1 bit": WEIGHTS}, title="t").get_figwidth() == 3.1


def test_numbers_on_squares_keep_their_colour_on_a_dark_page() -> None:
    svg = figure_svg(grids({"W": np.array([[0.5, -1.0]])}, title="W"), "W")
    assert "fill: #fefefe" in svg and "fill: #101010" in svg


def test_curves_have_a_legend() -> None:
    figure = lines(WEIGHTS, {"one": WEIGHTS, "two": -WEIGHTS}, xlabel="x", ylabel="y", title="t")
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["one", "two"]
