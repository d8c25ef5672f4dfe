"""The cards of a notebook say what the report's page says, and are escaped."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from fabricate import claim
from fabricate_report import EVIL, section

from xtc_study.analysis.claims import RULE
from xtc_study.report.claims_text import numbers_of
from xtc_study.report.pages.html import write_report
from xtc_study.report.study import StudyPage
from xtc_study.report.verdicts import NO_CLAIM, Verdicts
from xtc_study.studies import PlannedRun


@pytest.fixture
def study(runs: Path, planned: list[PlannedRun]) -> StudyPage:
    decided = claim("lower", "1-bit", "32-bit", 0.02, "One bit costs more than 2 points.", f"XTC, Figure 1 {EVIL}")
    waiting = claim("equivalent", "2-bit", "32-bit", 0.01, f"Two bits {EVIL} cost nothing.")
    return section(planned, runs, claims=[decided, waiting])


def words(markup: str) -> list[str]:
    """The text of each paragraph, without tags."""
    paragraphs = re.findall(r"<p[^>]*>(.*?)</p>", markup, re.DOTALL)
    return [" ".join(html.unescape(re.sub(r"<[^>]*>", "", one)).split()) for one in paragraphs]


def test_the_cards_have_the_words_of_the_page(study: StudyPage, tmp_path: Path) -> None:
    cards = study.verdicts._repr_html_()
    write_report(tmp_path / "mini", [study])
    page = (tmp_path / "mini" / study.href).read_text("utf-8")
    answer = page[page.index('aria-label="The answer"') :].partition('<ul class="states"')[0]
    assert words(cards) == words(answer) and len(words(cards)) == 2 * 2 + 1 + 1
    assert cards.count('<div class="answer supported">') == 1 and cards.count('<div class="answer not-run">') == 1


def test_text_of_claims_is_escaped(study: StudyPage) -> None:
    cards = study.verdicts._repr_html_()
    assert EVIL not in cards and cards.count(html.escape(EVIL).replace("&#x27;", "&#39;")) == 2


def test_the_same_stands_in_plain_text(study: StudyPage) -> None:
    first, second = study.answers
    lines = repr(study.verdicts).splitlines()
    assert lines[0] == f"✓ Supported {first.claim.sentence} {numbers_of(first)}"
    assert lines[1:3] == [f"  {first.reasons}", f"  Source: {first.claim.source}"]
    assert f"\N{EN DASH} Not run {second.claim.sentence}" in lines and lines[-1] == RULE


def test_no_claim_is_left() -> None:
    assert repr(Verdicts([])) == NO_CLAIM and Verdicts([])._repr_html_() == f"<p>{NO_CLAIM}</p>" and not Verdicts([])
