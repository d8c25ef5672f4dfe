"""The pages in a browser: headless Chromium, from file://."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from patience import HANG_SECONDS

from xtc_study.report.pages.html import write_report
from xtc_study.report.study import StudyPage
from xtc_study.report.tables import PageTable

MEGABYTE = 1_000_000
PAGES = (
    "index.html",
    "21_equal_bytes.html",
    "study-bits.html",
    "study-grid.html",
    "study-empty.html",
    "done",
    "failed",
)


@contextmanager
def opened(browser: Any, path: Path, **context: Any) -> Iterator[Any]:
    """Open the page; on leaving, check that it requested only itself and logged nothing to the console."""
    requests: list[str] = []
    messages: list[str] = []
    made = browser.new_context(**context)
    page = made.new_page()
    page.set_default_timeout(1000 * HANG_SECONDS)
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.goto(path.as_uri())
    yield page
    made.close()
    assert [url for url in requests if not url.startswith("data:")] == [path.as_uri()]
    assert messages == []


def find(site: Path, name: str) -> Path:
    if name.endswith(".html"):
        return site / name
    return next(path for path in sorted((site / "runs").iterdir()) if f"state {name}" in path.read_text("utf-8"))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_small_self_contained_and_free_of_serious_axe_violations(
    browser: Any, site: Path, name: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    path = find(site, name)
    assert path.stat().st_size < 2 * MEGABYTE
    for scheme, width in (("light", 1280), ("dark", 390)):
        with opened(browser, path, color_scheme=scheme, viewport={"width": width, "height": 900}) as page:
            found = Axe().run(page).response["violations"]
            serious = [one for one in found if one["impact"] in ("serious", "critical")]
            violations = [(one["id"], [node["html"][:200] for node in one["nodes"]][:3]) for one in serious]
            assert not violations, json.dumps(violations, indent=1)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page scrolls sideways"


def test_the_first_tab_skips_the_head(browser: Any, site: Path) -> None:
    with opened(browser, site / "study-bits.html") as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('main') !== null")


def test_tables_sort_and_filter_by_mouse_and_keyboard(browser: Any, site: Path) -> None:
    from playwright.sync_api import expect

    with opened(browser, site / "study-bits.html") as page:
        table = page.locator("#runs ~ div table.sortable")
        rows = table.locator("tbody tr")
        expect(rows.first.locator("td").first).to_have_text("32-bit")  # the reference comes first
        size = table.locator("thead th", has_text="On disk")
        for smallest_first in (True, False):
            size.click()
            expect(size).to_have_attribute("aria-sort", "ascending" if smallest_first else "descending")
            expect(rows.first.locator("td").nth(6)).to_have_text("33.8 kB" if smallest_first else "460.0 kB")
            expect(rows.last.locator("td").nth(6)).to_have_text("–")  # noqa: RUF001
        score = table.locator("thead th", has_text="Score")
        score.locator("[role=button]").focus()
        page.keyboard.press("Enter")
        expect(score).to_have_attribute("aria-sort", "ascending")
        state = page.locator("#runs ~ div").get_by_label("Filter by state")
        state.select_option("failed")
        expect(rows).to_have_count(1)
        state.select_option("")
        page.locator("#runs ~ div input[type=search]").fill("toy-pairs")
        expect(rows).to_have_count(11)  # of 12, one is missing and folded away


def test_the_no_filter_entry_of_a_menu_differs_from_every_value(browser: Any, site: Path) -> None:
    """Layers may be "all": the arms with every layer, which is not the same as every arm."""
    for name in ("index.html", "study-bits.html", "study-grid.html"):
        with opened(browser, site / name) as page:
            menus = page.locator("select[aria-label^='Filter by']")
            assert menus.count() > 0
            for menu in menus.all():
                options = menu.locator("option").all_inner_texts()
                head = str(menu.get_attribute("aria-label")).removeprefix("Filter by ")
                assert options[0] == f"any {head}" and len(set(options)) == len(options)


def test_points_of_the_pareto_figure_have_tooltips_for_mouse_and_keyboard(browser: Any, site: Path) -> None:
    with opened(browser, site / "index.html") as page:
        marks = page.locator("svg a.mark")
        assert marks.count() == 19  # nine arms, by bytes and by milliseconds; the teacher, by bytes
        tip = page.locator(".tip")
        assert tip.is_hidden()
        marks.first.hover()
        assert tip.is_visible() and tip.inner_text() == marks.first.get_attribute("aria-label")
        marks.nth(1).focus()
        assert tip.inner_text() == marks.nth(1).get_attribute("aria-label") and "points" in tip.inner_text()
        page.keyboard.press("Escape")
        assert tip.is_hidden()
        assert marks.nth(1).get_attribute("href") == "study-grid.html"


def test_on_a_phone_scores_come_first_and_wide_content_fades_until_scrolled(browser: Any, site: Path) -> None:
    with opened(browser, site / "index.html", viewport={"width": 390, "height": 900}) as page:
        box = page.locator(".scroll", has=page.locator("table.sortable")).first
        score = box.locator("thead th", has_text="Score").bounding_box()
        assert score["x"] + score["width"] < 390
        box.evaluate(
            "box => { box.id = 'wide'; }"
        )  # wait_for_function evaluates text, which the page's policy forbids
        page.locator("#wide.more").wait_for(state="attached")
        box.evaluate("box => { box.scrollLeft = box.scrollWidth; }")
        page.locator("#wide:not(.more)").wait_for(state="attached")


def test_tables_show_every_row_without_scripts_and_in_print(browser: Any, tmp_path: Path) -> None:
    path = big(tmp_path, 120)
    with opened(browser, path, java_script_enabled=False) as page:
        assert page.locator("#runs ~ div tbody tr").count() == 120
    with opened(browser, path) as page:
        assert page.locator("#runs ~ div tbody tr").count() == 50
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.locator("#runs ~ div tbody tr").count() == 120
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.locator("#runs ~ div tbody tr").count() == 50


def test_a_page_of_2000_runs_stays_usable(browser: Any, tmp_path: Path) -> None:
    path = big(tmp_path, 2000)
    assert path.stat().st_size < 4 * MEGABYTE
    with opened(browser, path) as page:
        head = page.locator("#runs ~ div thead th", has_text="Score")
        head.click()
        page.locator("[aria-sort=ascending]").first.wait_for(state="attached")
        head.click()
        page.locator("[aria-sort=descending]").first.wait_for(state="attached")
        assert page.locator("#runs ~ div tbody tr").count() == 50, "few rows are drawn, however many there are"
        scores = [float(text) for text in page.locator("#runs ~ div tbody tr td:nth-child(6)").all_inner_texts()]
        assert scores == sorted(scores, reverse=True) and len(scores) == 50


def big(folder: Path, runs: int) -> Path:
    """Write a study's page with a table of ``runs`` runs, each linking to a page."""
    ids = [f"toy-inference-all-w1a8-s1-seed{number}-{number:010x}" for number in range(runs)]
    text = pd.DataFrame(
        {
            "Run": [run_id[-10:] for run_id in ids],
            "Arm": [f"{number % 9}-bit" for number in range(runs)],
            "Task": "toy-inference",
            "Seed": [str(number) for number in range(runs)],
            "State": "done",
            "Score": [f"{50 + number * 37 % 500 / 10:.1f}" for number in range(runs)],
            "Teacher": "95.0",
            "On disk": [f"{number * 7919 % 1000}.0 kB" for number in range(runs)],
            "Seconds": "12",
            "Started": "2026-05-04 10:00",
        }
    )
    order = pd.DataFrame({"Score": text["Score"].astype(float) / 100, "On disk": range(runs)})
    links = {run_id: f"runs/{run_id}.html" for run_id in ids}
    table = PageTable(text, "Every planned run.", order, tuple(ids), links, ("State", "Arm"))
    study = StudyPage("big", "Big", "How many?", [], {"done": runs}, "xtc-study run big", runs=table)
    write_report(folder / "big", [study])
    return folder / "big" / "study-big.html"
