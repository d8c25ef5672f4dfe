"""The answers to a study's claims as cards in a notebook: the words of the report's page, and a plain-text twin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xtc_study.analysis.claims import RULE, Answer
from xtc_study.report.claims_text import SIGNS, numbers_of
from xtc_study.report.markup import answers_html, paragraph

NO_CLAIM = "No claim is tested: each is about an arm that was not chosen."


@dataclass(frozen=True, repr=False)
class Verdicts:
    """Each claim with its verdict, numbers, reasons and source."""

    answers: Sequence[Answer]

    def __len__(self) -> int:
        return len(self.answers)

    def _repr_html_(self) -> str:
        if not self.answers:
            return paragraph(NO_CLAIM)
        return answers_html([(answer, numbers_of(answer)) for answer in self.answers], RULE)

    def __repr__(self) -> str:
        return "\n\n".join([*map(answer_text, self.answers), RULE]) if self.answers else NO_CLAIM


def answer_text(answer: Answer) -> str:
    """One card as lines of text."""
    head = f"{SIGNS[answer.verdict]} {answer.label.capitalize()} {answer.claim.sentence} {numbers_of(answer)}".rstrip()
    source = [f"  Source: {answer.claim.source}"] if answer.claim.source else []
    return "\n".join([head, f"  {answer.reasons}", *source])
