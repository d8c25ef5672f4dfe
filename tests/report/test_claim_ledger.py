"""The ledger of a notebook has the rows and words of the report's index."""

from __future__ import annotations

import html
import re
from pathlib import Path

from fabricate import plan_runs
from fabricate_report import never_run, section

from xtc_study.report.claim_ledger import ClaimLedger
from xtc_study.report.pages.html import write_report
from xtc_study.studies import PlannedRun


def rows(page: str) -> list[str]:
    """The rows of the ledger in a page or an output, as text."""
    table = page[page.index('<table class="ledger') :].partition("</table>")[0]
    return [
        " ".join(html.unescape(re.sub(r"<[^>]*>", " ", row)).split())
        for row in re.findall(r"<tr>.*?</tr>", table, re.DOTALL)
    ]


def test_the_rows_are_those_of_the_index(tmp_path: Path, runs: Path, planned: list[PlannedRun]) -> None:
    study = section(planned, runs)
    shown = ClaimLedger([study], {"bits": "12_bits.ipynb"})._repr_html_()
    index = write_report(tmp_path / "mini", [study]).read_text("utf-8")
    assert rows(shown) == rows(index) and len(rows(shown)) == 2
    assert '<a href="12_bits.ipynb">How few bits?</a>' in shown and f'<a href="{study.href}">' in index


def test_studies_without_a_done_run_are_counted_not_listed(runs: Path, planned: list[PlannedRun]) -> None:
    never = section(never_run(), runs, name="empty", title="Not run yet")
    ledger = ClaimLedger([section(planned, runs), never])
    assert ledger.not_run == "1 claim not tested yet, of empty."
    for shown in (ledger._repr_html_(), repr(ledger)):
        assert ledger.not_run in shown and "Not run yet" not in shown and "One bit costs more than 2 points." in shown
    nothing = ClaimLedger([section(plan_runs(), runs / "none")])
    assert nothing._repr_html_() == "<p>1 claim not tested yet, of bits.</p>"
