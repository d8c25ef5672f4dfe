"""The ledger of claims in a notebook: the rows and words of the report's index, and a plain-text twin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from xtc_study.analysis.claims import RULE
from xtc_study.report.markup import ledger_html, paragraph
from xtc_study.report.study import StudyPage, with_done_runs
from xtc_study.report.verdicts import answer_text


@dataclass(frozen=True, repr=False)
class ClaimLedger:
    """The claims of the studies of which a run is done; the others are named in a sentence."""

    studies: Sequence[StudyPage]
    links: Mapping[str, str] = field(default_factory=dict)
    """By study, the address of its notebook."""

    @property
    def not_run(self) -> str:
        """Say how many claims of which studies were not tested, in a sentence; empty if none."""
        started = {study.name for study in with_done_runs(self.studies)}
        left = {study.name: len(study.answers) for study in self.studies if study.name not in started}
        count = sum(left.values())
        if not count:
            return ""
        return f"{count} claim{'s' if count > 1 else ''} not tested yet, of {', '.join(left)}."

    def _repr_html_(self) -> str:
        started = with_done_runs(self.studies)
        table = ledger_html(started, RULE, self.links) if started else ""
        return table + (paragraph(self.not_run) if self.not_run else "")

    def __repr__(self) -> str:
        started = with_done_runs(self.studies)
        parts = ["\n\n".join([study.title, *map(answer_text, study.answers)]) for study in started]
        return "\n\n".join(filter(None, [*parts, self.not_run]))
