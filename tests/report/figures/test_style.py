from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fabricate import make_done_run, plan_runs
from matplotlib.figure import Figure

from xtc_study.analysis.collect import collect
from xtc_study.report.figures.seeds import seeds_by_arm
from xtc_study.report.figures.style import (
    INK,
    PAPER,
    RULE,
    STYLE,
    Drawing,
    Mark,
    drawing,
    figure_svg,
    grid,
    in_words,
    show,
)
from xtc_study.report.pages.sanitise import safe_svg


@pytest.fixture(scope="module")
def frame(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    runs = tmp_path_factory.mktemp("runs")
    planned = plan_runs({"1-bit": 1, "$32<bit": 32})
    for run in planned:
        make_done_run(runs, run)
    return collect(runs, planned)


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
    show(figure, "a line", "It rises.")
    assert shown[1][1]["metadata"]["image/png"] == {"alt": "a line", "caption": "It rises."}


def test_a_drawing_shows_itself_in_a_notebook_as_show_does() -> None:
    figure = Figure()
    figure.subplots().plot([1, 2], gid="mark")
    marks = {"mark": Mark("one <arm>", "study-bits.html")}
    drawn = drawing(figure, "front", "Front", "a <line>", "It rises.", marks)
    bundle, metadata = drawn._repr_mimebundle_()
    svg, png = bundle["image/svg+xml"], bundle["image/png"]
    assert isinstance(svg, str) and isinstance(png, bytes) and png.startswith(b"\x89PNG")
    assert bundle["text/plain"] == "a <line>" and "<title>a &lt;line&gt;</title>" in svg
    assert metadata["image/png"] == metadata["image/svg+xml"] == {"alt": "a <line>", "caption": "It rises."}
    assert "study-bits.html" not in svg and "study-bits.html" in drawn.inline, (
        "a notebook does not lie beside the pages"
    )
    assert drawn.hint.startswith("Hover over a mark") and not drawn.missing


def test_a_drawing_of_what_is_missing_has_no_caption() -> None:
    drawn = drawing(in_words("No <run> is done.", "Title"), "seeds", "Seeds", "alt", "Each mark is one seed.")
    assert drawn.missing == drawn.alt == "No <run> is done." and drawn.caption == ""
    bundle, metadata = drawn._repr_mimebundle_()
    assert bundle["text/plain"] == "No <run> is done." and metadata["image/png"] == {"alt": "No <run> is done."}


def test_the_style_file_has_the_colours_that_become_variables() -> None:
    style = Path(STYLE).read_text()
    assert all(f": {colour[1:]}" in style for colour in (INK, PAPER, RULE))


def two_points() -> Figure:
    figure = Figure()
    panel = figure.subplots()
    panel.plot(1, 1, "o", gid="one")
    panel.plot(2, 2, "o", gid="two")
    return figure


def test_marks_become_links_that_say_something() -> None:
    marks = {"one": Mark("<1> & \\1", 'a"b.html'), "two": Mark("second", "b.html")}
    svg = figure_svg(two_points(), "points", marks=marks)
    root = ET.fromstring(svg)
    assert root.get("role") == "group"  # an image's insides cannot be focused
    links = [node for node in root.iter() if node.tag.endswith("}a")]
    assert [link.get("href") for link in links] == ['a"b.html', "b.html"]
    assert [link.get("aria-label") for link in links] == ["<1> & \\1", "second"]
    for link in links:
        assert link[0].tag.endswith("title") and sum(node.tag.endswith("use") for node in link.iter()) == 1


def test_a_file_stands_alone_and_a_drawing_is_only_ours() -> None:
    one = drawing(two_points(), "points", "Points", "alt", "caption", {"one": Mark("first", "a.html")})
    assert "var(--" in one.inline and "var(--" not in one.file and 'class="mark"' not in one.file
    ET.fromstring(one.file)
    with pytest.raises(ValueError, match="figure_svg"):
        Drawing("n", "h", "c", "a", "<script>", one.file)


def test_a_notebook_s_figure_is_dark_on_a_dark_ground_in_the_colours_of_the_pages(
    frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, **_: shown.append(bundle))
    show(seeds_by_arm(frame, "1-bit", title="t"), "alt")
    svg = shown[0]["image/svg+xml"]
    assert safe_svg(svg) == svg, "it may stand in a page of a run"
    dark = re.search(r"prefers-color-scheme: dark\) \{ svg:root \{ (.*?) \} \}", svg)
    assert dark
    css = (STYLE.parents[1] / "templates" / "page.css").read_text("utf-8")
    page = css[css.index("prefers-color-scheme: dark") :]
    assert len(dark[1].split("; ")) == 10 and all(f"{one};" in page for one in dark[1].split("; "))


def test_where_nothing_can_be_drawn_what_is_missing_is_the_figure_s_description(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, **_: shown.append(bundle))
    figure, panels = grid(0, "Score by budget")
    show(figure, "Score by budget, one panel a task")
    assert panels == [] and shown[0]["text/plain"] == "No run is done yet, so there is nothing to draw."
    assert drawing(figure, "n", "h", "Score by budget", "c").alt == shown[0]["text/plain"]
