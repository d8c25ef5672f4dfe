"""The page of a designed study: its matrix, its aliases, its effects, and what stands there before they are known."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from designed import designed_plan, designed_spec, make_runs
from fabricate import claim
from fabricate_report import section

from xtc_study.report.designed import NO_DESIGN, aliases_part, design_part
from xtc_study.report.lazy_page import LazyStudyPage, PageSource
from xtc_study.report.pages.html import write_report
from xtc_study.report.pages.markdown_pdf import write_markdown

MINUS = "\N{MINUS SIGN}"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> LazyStudyPage:
    runs, planned = tmp_path_factory.mktemp("runs"), designed_plan()
    make_runs(runs, planned, {"rate": 0.1, "decay": -0.05})
    return LazyStudyPage(PageSource(designed_spec(), planned, runs, "xtc-study run own"))


def test_the_matrix_of_arms_shows_what_is_switched_on() -> None:
    table = design_part(designed_spec())
    assert list(table.text.columns) == ["Arm", "Code", "A: rate", "B: decay", "C: scale", "D: warm-up"]
    assert list(table.text.iloc[0]) == ["XTC", "(1)", *["–"] * 4]  # noqa: RUF001
    assert list(table.text.iloc[1]) == ["fast + no warm-up", "ad", "fast", "–", "–", "no warm-up"]  # noqa: RUF001
    assert "8 of the 16 combinations of 4 axes, resolution IV, generators D = ABC" in table.caption
    assert "rate slow, decay decay, scale one scale, warm-up warm-up." in table.caption
    assert table.cells["words"] == [True] * 6


def test_aliases_are_listed_by_letters_and_names() -> None:
    table = aliases_part(designed_spec())
    assert list(table.text["Letters"]) == ["AB + CD", "AC + BD", "AD + BC"]
    assert table.text["Cannot be told apart"][0] == "rate × decay; scale × warm-up"  # noqa: RUF001
    assert "free of interactions of two factors, but not of three" in table.caption and "ABCD." in table.caption


PLAIN = {axis: {f"{axis} low": {}, f"{axis} high": {f"f{axis}": 1}} for axis in ("p", "q", "r", "s", "t")}
CLAIMS = [{"sentence": "s", "kind": "higher", "factor": "p", "margin": 0, "source": "x"}]


def test_aliases_of_other_resolutions() -> None:
    fifth = aliases_part(designed_spec(design="fractional", axes=PLAIN, claims=CLAIMS))
    assert not fifth and "free of each other" in fifth.caption and "Nothing here is mixed." in fifth.caption
    mixed = aliases_part(designed_spec(design={"fractional": "III"}, axes=PLAIN, claims=CLAIMS))
    assert "mixed with interactions of two factors, which are taken to be small" in mixed.caption
    assert list(mixed.text["Letters"])[:2] == ["A - BD - CE", "B - AD"]


def test_effects_are_sorted_and_have_both_errors_and_each_task(page: LazyStudyPage) -> None:
    table = page.effects
    assert (table.text["Factor"].iloc[0], table.text["Factor"].iloc[-1]) == ("rate", "decay")
    first = table.text.iloc[0]
    assert (first["Letter"], first["From"], first["To"]) == ("A", "slow", "fast")
    assert first["Effect"].startswith("+") and " to +" in first["95 % interval"]
    assert float(first["Error by examples"]) > 0 and float(first["Error by seeds"]) > 0
    assert first["toy-pairs"].startswith("+") and "(" in first["toy-pairs"]
    assert "mean of toy-inference, toy-pairs, 2 seeds, 800 dev examples" in table.caption
    assert len(page.interactions) == 3 and "rate × decay + scale × warm-up" in set(  # noqa: RUF001
        page.interactions.text["Interactions"]
    )


def test_claims_about_factors_are_answered_by_their_effects(page: LazyStudyPage) -> None:
    verdicts = {answer.claim.factor: answer.verdict for answer in page.answers}
    assert verdicts == {"rate": "supported", "decay": "contradicted", "scale": "undecided", "warm-up": "undecided"}
    rate = page.answers[0]
    assert rate.reasons.startswith(
        "Effect of rate (the mean over the arms that have it high minus that over the others)"
    )
    assert "claimed: above" in rate.reasons and "Holm over 4 claims" in rate.reasons
    assert rate.difference is not None and rate.difference.mean == pytest.approx(0.1, abs=0.03)
    assert any("2 seeds show little" in limit for limit in page.limits)


def test_figures_of_effects(page: LazyStudyPage) -> None:
    assert {"effects", "interactions", "differences", "seeds"} <= set(page.figures)
    drawn = page.figures["effects"]
    assert (
        drawn.alt.startswith("The effect of each factor, in points, with 95 % intervals: rate +")
        and MINUS in drawn.alt
    )
    assert "Small marks: each task." in drawn.caption
    assert "AB + CD" in page.figures["interactions"].alt
    seeds = page.figures["seeds"]
    assert seeds.figure is not None and "Letters stand for the factors" in seeds.caption
    names = [label.get_text() for label in seeds.figure.axes[0].get_xticklabels()]
    assert names == ["XTC", "ad", "bd", "ab", "cd", "ac", "bc", "abcd"], "names of arms are too long for an axis"


def test_the_report_has_the_parts_and_the_numbers_to_download(page: LazyStudyPage, tmp_path: Path) -> None:
    index = write_report(tmp_path / "report", [page])
    html = (index.parent / "study-own.html").read_text("utf-8")
    for part in (
        "Effects of the factors",
        ">Design<",
        "What these arms cannot tell apart",
        "Interactions of two factors",
    ):
        assert part in html, part
    rows = pd.read_csv(index.parent / "study-own" / "effects.csv")
    assert set(rows["code"]) == {"A", "B", "C", "D", "AB + CD", "AC + BD", "AD + BC"}
    assert (index.parent / "study-own" / "effects.svg").is_file() and "effects.csv" in html
    text = write_markdown(index.parent, [page]).with_name("study-own.md").read_text("utf-8")
    assert "## Effects of the factors" in text and "| rate" in text and "## Design" in text


def test_a_designed_study_that_is_not_run_shows_its_design(tmp_path: Path) -> None:
    page = LazyStudyPage(PageSource(designed_spec(), designed_plan(), tmp_path, "xtc-study run own"))
    assert len(page.design) == 8 and not page.effects and "no run is done yet" in page.effects.caption
    assert "no run is done yet" in page.figures["effects"].missing and list(page.figures) == []
    assert {answer.verdict for answer in page.answers} == {"not run"}
    html = (write_report(tmp_path / "report", [page]).parent / "study-own.html").read_text("utf-8")
    assert "no run is done yet" in html and not (tmp_path / "report" / "study-own" / "effects.csv").exists()


def test_claims_wait_for_all_arms_and_are_undecided_where_predictions_cannot_be_used(tmp_path: Path) -> None:
    planned = designed_plan(tasks=("toy-pairs",))
    make_runs(tmp_path, planned[:7], {})
    waiting = LazyStudyPage(PageSource(designed_spec(), planned, tmp_path, ""))
    assert {answer.verdict for answer in waiting.answers} == {"not run"}
    assert "needs a seed that every arm has done on every task" in waiting.answers[0].reasons
    make_runs(tmp_path, planned[7:], {})
    (tmp_path / planned[0].run_id / "predictions.parquet").write_text("nothing")
    broken = LazyStudyPage(PageSource(designed_spec(), planned, tmp_path, ""))
    assert {answer.verdict for answer in broken.answers} == {"undecided"}
    assert "The predictions cannot be compared" in broken.answers[0].reasons
    assert "The predictions cannot be compared" in broken.effects.caption


def test_a_page_without_a_design_has_no_such_part(tmp_path: Path) -> None:
    page = section([], tmp_path, claims=[claim("lower", "1-bit", "32-bit")])
    assert not page.design and page.design.caption == NO_DESIGN and page.effect_rows is None
    assert page.figures["effects"].missing == NO_DESIGN and "effects" not in page.figures
