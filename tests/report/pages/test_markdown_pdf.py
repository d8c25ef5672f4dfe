from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from fabricate import claim
from fabricate_report import EVIL

from xtc_study.analysis.claims import Answer
from xtc_study.report.pages.markdown_pdf import (
    FormatError,
    check_format,
    escaped,
    find_browser,
    markdown_table,
    print_pdf,
    write_format,
    write_markdown,
)
from xtc_study.report.study import Failure, StudyPage
from xtc_study.report.tables import PageTable

LITTLE = claim("lower", "1-bit", "32-bit", sentence="Little.")
TABLE = PageTable(pd.DataFrame({"Arm": ["a|b", EVIL], "Score": ["1.0", "20.5"]}), "What *it* shows.")
STUDY = StudyPage(
    "bits", "How few?", "What does it cost?", [Answer(LITTLE, "supported", "Because.")], {"done": 1, "failed": 1},
    "xtc-study run bits", arms=TABLE, failures=[Failure("r1", "failed", EVIL)], commands=[("1-bit", "run ```it```")],
    limits=["Few seeds."],
)  # fmt: skip


def test_markdown_has_the_content_of_the_pages(tmp_path: Path) -> None:
    index = write_markdown(tmp_path, [STUDY], "mini")
    assert "mini" in index.read_text() and tmp_path.name not in index.read_text()
    assert index == tmp_path / "index.md" and "[How few?](study-bits.md)" in index.read_text()
    text = (tmp_path / "study-bits.md").read_text()
    for part in (
        "# How few?",
        "**Supported**: Little. Because.",
        "xtc-study run bits",
        "Few seeds.",
        "@software",
        "r1",
    ):
        assert part in text, part
    assert "<script" not in text + index.read_text() and "````\nrun ```it```\n````" in text


def test_special_characters_do_not_break_a_table() -> None:
    lines = markdown_table(TABLE).splitlines()
    assert len(lines) == 6 and all(line.replace("\\|", "").count("|") == 3 for line in lines[:4])
    assert "1.0" in lines[2] and lines[-1] == "What \\*it\\* shows."
    assert escaped("a\nb <i> [x](y)") == "a b &lt;i&gt; \\[x\\](y)"


def test_check_format_names_unknown_formats_and_missing_browsers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_format("html") == check_format("md") == ""
    with pytest.raises(FormatError, match="--format docx: expected one of html, md, pdf"):
        check_format("docx")
    monkeypatch.setenv("XTC_BROWSER", "/nowhere/chrome")
    with pytest.raises(FormatError, match="XTC_BROWSER=/nowhere/chrome: no such program"):
        check_format("pdf")
    monkeypatch.delenv("XTC_BROWSER")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(FormatError, match="needs Chromium or Chrome: none of chromium"):
        find_browser()


def test_a_browser_that_prints_nothing_is_an_error(tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    page.write_text("<p>x</p>")
    with pytest.raises(FormatError, match=r"index.html: .*printed nothing"):
        print_pdf(page, "true")
    assert write_format("html", page, []) == page


def test_a_browser_that_cannot_start_is_an_error(tmp_path: Path) -> None:
    page, browser = tmp_path / "index.html", tmp_path / "chromium"
    page.write_text("<p>x</p>")
    browser.write_text("no program")
    with pytest.raises(FormatError, match=r"chromium cannot be started: Permission denied. Set XTC_BROWSER"):
        print_pdf(page, str(browser))


def test_a_page_is_printed_to_pdf_without_local_paths(site: Path, browser: object) -> None:
    printed = print_pdf(site / "study-bits.html", find_browser())
    content = printed.read_bytes()
    assert printed.name == "study-bits.pdf" and content.startswith(b"%PDF") and len(content) > 20_000
    assert b"file://" not in content and str(site).encode() not in content
    printed.unlink()


def test_markdown_of_an_earlier_report_stays_linked(tmp_path: Path) -> None:
    (tmp_path / "study-older_one.md").write_text("older")
    text = write_markdown(tmp_path, [STUDY], "mini").read_text(encoding="utf-8")
    assert "(study-older_one.md)" in text and text.count(STUDY.href.replace(".html", ".md")) == 1


def test_published_markdown_has_the_same_pages_as_the_html(tmp_path: Path) -> None:
    never = StudyPage("empty", "Not run yet", "Why?", [], {"missing": 4}, "xtc-study run empty")
    index = write_format("md", tmp_path / "index.html", [STUDY, never], profile="mini", published=True)
    text, page = index.read_text(), (tmp_path / "study-bits.md").read_text()
    assert not (tmp_path / "study-empty.md").exists() and "Not run yet" not in text
    for one in (text, page):
        assert "missing" not in one and "running" not in one and "1 done" in one
    assert "Run the missing ones" not in page and "xtc-study run" not in page
    assert "1 run, 1 failed." in text and "runs done" not in text
    write_markdown(tmp_path, [STUDY, never], "mini")
    assert (tmp_path / "study-empty.md").exists() and "Run the missing ones" in (
        tmp_path / "study-bits.md"
    ).read_text()


def test_published_pdf_prints_only_existing_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[str] = []
    monkeypatch.setattr(
        "xtc_study.report.pages.markdown_pdf.print_pdf", lambda page, browser: printed.append(page.name) or page
    )
    never = StudyPage("empty", "Not run yet", "Why?", [], {"missing": 4}, "xtc-study run empty")
    write_format("pdf", tmp_path / "index.html", [STUDY, never], "chromium", published=True)
    assert printed == ["study-bits.html", "index.html"]
