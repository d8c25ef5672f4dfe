from __future__ import annotations

from fabricate import claim

from xtc_study.analysis.stats import Difference
from xtc_study.report.figures.differences import differences_by_arm

FOUND = {
    "2-bit": Difference(-0.01, -0.02, 0.0, n_seeds=3, n_examples=100, resamples=9, rng_seed=0),
    "1-bit": Difference(0.03, 0.02, 0.04, n_seeds=3, n_examples=100, resamples=9, rng_seed=0),
}


def test_means_and_intervals_are_in_points_in_the_order_given() -> None:
    (panel,) = differences_by_arm(FOUND, "32-bit", title="t").axes
    assert [label.get_text() for label in panel.get_yticklabels()] == ["2-bit", "1-bit"]
    drawn = [
        (line.get_xdata(), line.get_ydata()) for line in panel.lines if line.get_color() in ("#1b1f24", "#0072b2")
    ]
    assert [list(x) for x, _ in drawn] == [[-2.0, 0.0], [-1.0], [2.0, 4.0], [3.0]]
    assert [text.get_text() for text in panel.texts] == ["−1.00", "+3.00"]  # noqa: RUF001
    assert panel.get_legend() is None and panel.yaxis_inverted()


def test_margins_have_the_sign_of_their_claim() -> None:
    claims = [
        claim("equivalent", "2-bit", "32-bit", 0.01),
        claim("higher", "1-bit", "32-bit", 0.02),
        claim("lower", "1-bit", "8-bit", 0.05),
        claim("lower", "gone", "32-bit", 0.05),
    ]
    (panel,) = differences_by_arm(FOUND, "32-bit", claims, title="t").axes
    dashes = [list(line.get_xdata()) for line in panel.lines if line.get_linestyle() == "--"]
    assert dashes == [[-1.0, -1.0], [2.0, 2.0], []] and panel.get_legend() is not None


def test_without_differences_the_figure_names_what_is_missing() -> None:
    figure = differences_by_arm({}, "32-bit", title="t")
    assert not figure.axes and "a seed that 32-bit and another arm have done" in str(figure.get_label())
