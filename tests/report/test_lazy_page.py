"""A page is composed part by part: what is not asked for is not computed, and nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from fabricate import plan_runs
from fabricate_report import plain, section

from xtc_study.report import lazy_page
from xtc_study.report.tables import NO_TABLE
from xtc_study.studies import PlannedRun


def counted(monkeypatch: pytest.MonkeyPatch, name: str) -> list[str]:
    """Calls of a function of the module, which still does its work."""
    calls: list[str] = []
    real = getattr(lazy_page, name)

    def counting(*words: object, **options: object) -> object:
        calls.append(name)
        return real(*words, **options)

    monkeypatch.setattr(lazy_page, name, counting)
    return calls


def test_only_what_is_asked_for_is_computed_and_once(
    runs: Path, planned: list[PlannedRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    collected, compared = counted(monkeypatch, "collect"), counted(monkeypatch, "comparisons_of")
    page = section(planned, runs)
    assert "16 done" in repr(page) and page.title == "How few bits?" and not collected, "to show a page reads no score"
    assert len(page.tasks) == 4 and page.figures["seeds"].name == "seeds" and len(collected) == 1 and not compared
    assert page.verdicts and page.arms and page.figures["differences"] and page.limits and page.scores is page.scores
    assert len(collected) == 1 and len(compared) == 1


def test_a_page_says_what_is_missing_where_nothing_is_done(runs: Path) -> None:
    page = section(plan_runs(), runs)
    assert [answer.verdict for answer in page.answers] == ["not run"] and "No answer yet" in repr(page.verdicts)
    for table in (page.arms, page.tasks, page.published):
        assert not table and repr(table) == NO_TABLE.caption
    assert "No arm is done on every task yet" in page.pareto.missing
    assert list(page.figures) == [] and page.points == [] and page.frame.empty and page.published_note == ""


def test_why_there_is_nothing_published_stands_in_place_of_the_table(runs: Path, planned: list[PlannedRun]) -> None:
    page = section(planned, runs)
    assert page.published_note and not page.published and repr(page.published) == page.published_note


def test_every_part_of_a_plain_page_is_there(runs: Path, planned: list[PlannedRun]) -> None:
    """``plain`` reads each field, so none is left to the defaults of ``StudyPage``."""
    page = section(planned, runs)
    copy = plain(page)
    assert copy.scope.tasks and copy.seconds and copy.provenance and copy.points and copy.failures and copy.commands
    assert copy.claims == page.claims and copy.waiting == page.waiting == [("2-bit", "toy-pairs, seed 1")]


def test_baselines_stand_below_the_arms_and_in_the_figure(runs: Path, planned: list[PlannedRun]) -> None:
    page = section(planned, runs)
    below = page.arms.text["Arm"].tolist()[len(page.scores) :]
    assert below == ["Baseline: one answer", "Baseline: fp32 teacher"]
    assert "no arms of the comparison" in page.arms.caption and "fp32 teacher" in page.pareto.caption
    assert len(page.differences) == len(page.scores) - 1, "a baseline has no difference"
