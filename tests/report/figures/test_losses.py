from __future__ import annotations

import pandas as pd

from xtc_study.report.figures.losses import loss_curves, loss_finding


def curve() -> pd.DataFrame:
    rows = [("teacher", 1, step, "task", 1 / step) for step in (10, 20)]
    rows += [("quantise", 1, step, term, 5 / step) for step in (10, 20) for term in ("scores", "hidden")]
    rows += [("quantise", 2, 30, "logits", 0.1)]
    return pd.DataFrame(rows, columns=["phase", "stage", "step", "term", "value"])


def test_loss_curves_lay_stages_end_to_end() -> None:
    figure = loss_curves(curve(), title="What is learnt when?")
    (panel,) = figure.axes
    lines = {line.get_label(): list(line.get_xdata()) for line in panel.lines if not line.get_label().startswith("_")}
    assert lines == {"task": [10, 20], "scores": [30, 40], "hidden": [30, 40], "logits": [70]}
    assert [text.get_text() for text in panel.texts] == ["teacher 1", "quantise 1", "quantise 2"]
    assert panel.get_yscale() == "log" and panel.get_xlabel() == "optimiser steps"
    nothing = loss_curves(curve()[:0], title="t")
    assert not nothing.axes and "No loss was recorded" in str(nothing.get_label())


def test_a_loss_of_zero_gets_a_linear_scale() -> None:
    assert loss_curves(curve().assign(value=0.0), title="t").axes[0].get_yscale() == "linear"


def test_the_finding_names_the_first_and_last_value() -> None:
    assert loss_finding(curve()[:2]) == "From the first to the last recorded step: task 0.1 to 0.05."
    assert loss_finding(curve()[:0]) == "Nothing was recorded."
