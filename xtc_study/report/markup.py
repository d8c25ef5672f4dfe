"""The markup that pages and notebooks share: tables, answers to claims and their ledger, from the pages' templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

if TYPE_CHECKING:
    from xtc_study.analysis.claims import Answer
    from xtc_study.report.study import StudyPage
    from xtc_study.report.tables import PageTable

TEMPLATES = Path(__file__).with_name("templates")


def html_environment() -> Environment:
    """Of the HTML templates: every value is escaped unless it is ``Markup``."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def table_html(table: PageTable) -> str:
    """The table as a page has it, with the style that a notebook needs; without rows its caption, as a sentence."""
    if not len(table):
        return paragraph(table.caption)
    return _in_notebook(_parts().scrolling_table(table))


def answers_html(claims: Sequence[tuple[Answer, str]], rule: str) -> str:
    """The answers as a page has them: claim, verdict, numbers, reasons and source, one card each.

    Args:
        claims: each answer and its numbers as text.
        rule: how claims are judged, in a sentence.
    """
    return _in_notebook(_parts().answer_cards(claims, rule))


def ledger_html(studies: Sequence[StudyPage], rule: str, links: Mapping[str, str]) -> str:
    """The ledger of the index page.

    Args:
        studies: whose claims it lists.
        rule: how claims are judged, in a sentence.
        links: by study, where its title leads.
    """
    return _in_notebook(_parts().ledger(studies, rule, links))


def paragraph(text: str) -> str:
    return str(Markup("<p>{}</p>").format(text))


def _in_notebook(html: str) -> str:
    """Pages drop the style element and have their own."""
    return f'<style>{_style()}</style>\n<div class="xtc-study">{html}</div>'


@cache
def _style() -> str:
    return (TEMPLATES / "output.css").read_text("utf-8")


@cache
def _parts() -> Any:
    return html_environment().get_template("parts.html.j2").module
