"""What a reader sees first: each claim with its source and number, the page's scope, and only what was run."""

from __future__ import annotations

import html
import math
import re
from pathlib import Path

import pytest
from fabricate import TASKS, claim, make_done_run, plan_runs
from fabricate_report import never_run, section

from xtc_study.places import Places
from xtc_study.report.claims_text import difference_text, numbers_of
from xtc_study.report.pages.html import TEMPLATES, write_report
from xtc_study.report.pages.markdown_pdf import escaped, write_markdown
from xtc_study.report.scope import Scope
from xtc_study.report.study import StudyPage
from xtc_study.studies import PlannedRun
from xtc_study.study import Study


class Page:
    """A page's source, its text without tags, and its counts of runs by state."""

    def __init__(self, path: Path) -> None:
        self.source = path.read_text("utf-8")
        body = re.sub(r"<(script|style|svg)\b.*?</\1>", "", self.source, flags=re.DOTALL)
        self.text = html.unescape(re.sub(r"<[^>]*>", "", body))

    def states(self) -> dict[str, int]:
        strip = re.search(r'<ul class="states".*?</ul>', self.source, re.DOTALL)
        assert strip
        return {state: int(count) for count, state in re.findall(r"<strong>(\d+)</strong> (\w+)", strip[0])}

    def description(self) -> str:
        found = re.search(r'<meta name="description" content="([^"]*)">', self.source)
        assert found
        return html.unescape(found[1])


def written(folder: Path, study: StudyPage) -> tuple[Page, Page]:
    return Page(write_report(folder, [study])), Page(folder / study.href)


def test_the_source_and_the_number_of_a_claim_stand_beside_its_verdict(
    tmp_path: Path, runs: Path, planned: list[PlannedRun]
) -> None:
    source = "XTC Figure 1: 83.44 against 83.95 <GLUE>"
    sentence = "One bit costs more than 2 points."
    study = section(planned, runs, claims=[claim("lower", "1-bit", "32-bit", 0.02, sentence, source)])
    (answer,) = study.answers
    assert answer.difference is not None
    numbers = numbers_of(answer)
    assert re.fullmatch(
        r"\N{MINUS SIGN}\d+\.\d\d points \(\N{MINUS SIGN}\d+\.\d\d to \N{MINUS SIGN}\d+\.\d\d\)", numbers
    )
    index, page = written(tmp_path / "mini", study)
    assert index.text.count(source) == 2 and page.text.count(source) == 1, "beside the verdict, and in the ledger"
    beside = r"Supported</span>.{0,80}One bit costs more than 2 points\..{0,40}" + re.escape(numbers)
    for one in (index, page):
        assert re.search(beside, one.source, re.DOTALL)
    write_markdown(tmp_path / "mini", [study])
    for name in ("index.md", "study-bits.md"):
        assert escaped(source) in (tmp_path / "mini" / name).read_text()


def test_a_study_page_has_the_sources_of_its_claims(tmp_path: Path) -> None:
    study = Study("12_bits", places=Places(tmp_path))
    assert [answer.claim.source for answer in study.page().answers] == [one.source for one in study.spec.claims]
    assert "XTC Figure 1: 12 layers at 1 bit 83.44" in study.spec.claims[1].source


@pytest.mark.parametrize(
    ("mean", "low", "high", "text"),
    [
        (0.0123, 0.001, 0.02, "+1.23 points (+0.10 to +2.00)"),
        (-0.1443, -0.18, -0.112, "\N{MINUS SIGN}14.43 points (\N{MINUS SIGN}18.00 to \N{MINUS SIGN}11.20)"),
        (0.01, math.nan, math.nan, "+1.00 points"),
        (math.nan, math.nan, math.nan, ""),
    ],
)
def test_difference_text(mean: float, low: float, high: float, text: str) -> None:
    assert difference_text(mean, low, high) == text


def test_headings_and_descriptions_name_the_tasks_and_the_verdicts(
    tmp_path: Path, runs: Path, planned: list[PlannedRun]
) -> None:
    index, page = written(tmp_path / "mini", section(planned, runs))
    for one in (index, page):
        heading = re.search(r"<h1>(.*?)</h1>", one.source, re.DOTALL)
        assert heading and "mini profile: toy-sentiment, toy-pairs" in heading[1]
    of = "What extreme compression of builtin:tiny costs on toy-sentiment, toy-pairs: 1 study, 1 claim (1 supported)."
    assert index.description() == of
    assert page.description() == "What does each bit-width cost? Supported: One bit costs more than 2 points."
    assert Scope(tasks=tuple("abcdefgh")).short == "8 tasks"


def test_a_published_report_shows_only_what_was_run(tmp_path: Path, runs: Path, planned: list[PlannedRun]) -> None:
    study = section(planned, runs)
    never = section(never_run(), runs, name="empty", title="Not run yet")
    index = Page(write_report(tmp_path / "out", [study, never], profile="mini", published=True))
    page = Page(tmp_path / "out" / study.href)
    assert not (tmp_path / "out" / never.href).exists() and "Not run yet" not in index.text
    for one in (index, page):
        assert "missing" not in one.states() and one.states()["done"] == 16
        for text in ("missing", "Run the remaining ones", "planned run", "xtc-study run bits --profile mini"):
            assert text not in one.text, text
        assert 'class="bar"' not in one.source
    assert "16 runs" in index.text and "of 18 runs" not in index.text


def test_missing_runs_are_listed_by_arm_instead_of_rows_of_dashes(tmp_path: Path, runs: Path) -> None:
    planned = plan_runs({"32-bit": 32, "1-bit": 1}, TASKS, seeds=3)
    for run in planned:
        if run.arm == "32-bit" or (run.recipe.task, run.recipe.seed) == (TASKS[0], 0):
            make_done_run(runs, run)
    study = section(planned, runs)
    assert study.waiting == [("1-bit", f"{TASKS[0]}, seeds 1, 2; {TASKS[1]}, seeds 0, 1, 2")]
    _, page = written(tmp_path / "mini", study)
    assert "5 planned runs are not done" in page.text
    runs_table = page.source[page.source.index('id="runs"') :].partition("</table>")[0]
    assert runs_table.count("<tr>") == 1 + 7, "a head and the runs that are done"
    command = page.source.index("Run the remaining ones")
    assert command > page.source.index("Score and size of each arm"), "below the results"


def test_long_commands_wrap() -> None:
    css = (TEMPLATES / "page.css").read_text("utf-8")
    rule = ".todo pre, pre.todo-line, .notebook footer pre { white-space: pre-wrap; overflow-wrap: anywhere; }"
    assert rule in css
