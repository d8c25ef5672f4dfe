from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fabricate import TASKS, do, plan
from matplotlib.figure import Figure

from xtc_study.analysis.collect import collect
from xtc_study.report.plots import figure_svg, loss_curves, seeds_by_arm, show


@pytest.fixture(scope="module")
def frame(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    runs = tmp_path_factory.mktemp("runs")
    planned = plan({"1-bit": 1, "$32<bit": 32})
    for run in planned:
        do(runs, run)
    return collect(runs, planned)


def curve() -> pd.DataFrame:
    rows = [("teacher", 1, step, "task", 1 / step) for step in (10, 20)]
    rows += [("quantise", 1, step, term, 5 / step) for step in (10, 20) for term in ("scores", "hidden")]
    rows += [("quantise", 2, 30, "logits", 0.1)]
    return pd.DataFrame(rows, columns=["phase", "stage", "step", "term", "value"])


def test_every_seed_is_a_dot_in_its_task_s_panel(frame: pd.DataFrame) -> None:
    figure = seeds_by_arm(frame, "$32<bit", title="Does it hold?", chance={TASKS[0]: 0.5})
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


def test_chance_close_to_the_scores_is_a_line(frame: pd.DataFrame) -> None:
    near = frame["value"][frame["is_primary"]].min() - 0.01
    without, with_line = (seeds_by_arm(frame, "1-bit", title="t", chance=c) for c in (None, {TASKS[0]: near}))
    assert len(with_line.axes[0].lines) == len(without.axes[0].lines) + 1


def test_one_seed_has_no_interval_and_nothing_is_no_figure(frame: pd.DataFrame) -> None:
    one = seeds_by_arm(frame[frame["seed"] == 0], "1-bit", title="t")
    assert all(len(line.get_xdata()) == 1 or line.get_linestyle() == "--" for line in one.axes[0].lines)
    with pytest.raises(ValueError, match="no done run"):
        seeds_by_arm(frame[:0], "1-bit", title="t")


def test_loss_curves_lay_stages_end_to_end() -> None:
    figure = loss_curves(curve(), title="What is learnt when?")
    (panel,) = figure.axes
    lines = {line.get_label(): list(line.get_xdata()) for line in panel.lines if not line.get_label().startswith("_")}
    assert lines == {"task": [10, 20], "scores": [30, 40], "hidden": [30, 40], "logits": [70]}
    assert [text.get_text() for text in panel.texts] == ["teacher 1", "quantise 1", "quantise 2"]
    assert panel.get_yscale() == "log" and panel.get_xlabel() == "optimiser steps"
    with pytest.raises(ValueError, match="no rows"):
        loss_curves(curve()[:0], title="t")


def test_a_loss_of_zero_gets_a_linear_scale() -> None:
    assert loss_curves(curve().assign(value=0.0), title="t").axes[0].get_yscale() == "linear"


def test_svg_is_deterministic_named_and_without_outside_addresses(frame: pd.DataFrame) -> None:
    figure = seeds_by_arm(frame, "1-bit", title="<script>alert(1)</script>")
    svg = figure_svg(figure, 'Seeds "by" <arm>')
    assert svg == figure_svg(figure, 'Seeds "by" <arm>')
    assert svg == figure_svg(seeds_by_arm(frame, "1-bit", title="<script>alert(1)</script>"), 'Seeds "by" <arm>')
    root = ET.fromstring(svg)
    assert root.get("role") == "img" and root.get("aria-label") == 'Seeds "by" <arm>'
    assert root[0].tag.endswith("title") and root[0].text == 'Seeds "by" <arm>'
    assert "<script" not in svg and "<metadata" not in svg and "<?xml" not in svg
    assert not re.search(r'(src|href)="(?!#)', svg)
    assert "var(--ink, #1b1f24)" in svg and "var(--series-1, #0072b2)" in svg
    assert ">$32&lt;bit<" in svg  # text stays text, and a dollar sign is no formula


def test_two_figures_on_a_page_share_no_id(frame: pd.DataFrame) -> None:
    one, two = (figure_svg(seeds_by_arm(frame, "1-bit", title=title), "alt") for title in ("a", "b"))
    ids = [set(re.findall(r'\sid="([^"]+)"', svg)) for svg in (one, two)]
    assert ids[0] and not ids[0] & ids[1]
    for svg, known in zip((one, two), ids, strict=True):
        assert set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg)) <= {(i, "") for i in known} | {
            ("", i) for i in known
        }


def test_show_gives_the_alt_text_as_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[Any, dict[str, Any]]] = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, **options: shown.append((bundle, options)))
    figure = Figure()
    figure.subplots().plot([1, 2])
    show(figure, "a line")
    ((bundle, options),) = shown
    assert bundle["image/png"].startswith(b"\x89PNG") and bundle["image/svg+xml"].startswith("<svg ")
    assert bundle["text/plain"] == "a line" and options["raw"]
    assert options["metadata"] == {"image/svg+xml": {"alt": "a line"}, "image/png": {"alt": "a line"}}


def test_the_style_file_has_the_colours_that_become_variables() -> None:
    from xtc_study.report.plots import INK, PAPER, RULE, STYLE

    style = Path(STYLE).read_text()
    assert all(f": {colour[1:]}" in style for colour in (INK, PAPER, RULE))
