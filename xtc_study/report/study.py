"""What one study has to show, in plain values, ready to be written as a page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from xtc_study.analysis.baselines import Baseline
from xtc_study.analysis.claims import Answer
from xtc_study.analysis.pareto import ParetoPoint
from xtc_study.analysis.stats import FEW_SEEDS, MIN_SEEDS, Difference, seen
from xtc_study.report.claims_text import numbers_of
from xtc_study.report.figures.style import Drawing
from xtc_study.report.scope import Scope
from xtc_study.report.tables import NO_TABLE, PageTable
from xtc_study.report.verdicts import Verdicts

STATES = ("done", "running", "failed", "corrupt", "missing")
SHOWN_FAILURES = 200
"""More are counted, and listed among the runs."""


@dataclass(frozen=True)
class Failure:
    run_id: str
    state: str
    error: str


@dataclass(frozen=True, eq=False)
class StudyPage:
    """One study, in plain values. All text is escaped when written; nothing here is HTML except the SVG of
    ``figures``, which only ``report.figures.style`` makes.
    """

    name: str
    """The study's short name; the name of its page."""
    title: str
    question: str
    answers: Sequence[Answer]
    """One for each claim, in the study's order."""
    states: Mapping[str, int]
    """How many planned runs are in each of ``STATES``."""
    run_command: str
    """What to type to do the missing runs."""
    scope: Scope = field(default_factory=Scope)
    """What its runs are of: tasks, seeds, encoder, epochs."""
    arms: PageTable = NO_TABLE
    """The reference first, then each arm with its difference to it."""
    design: PageTable = NO_TABLE
    """Of a study with a design: its arms as a matrix. Without one, no row, as in the next three."""
    aliases: PageTable = NO_TABLE
    """What its arms cannot tell apart."""
    effects: PageTable = NO_TABLE
    """The effect of each factor."""
    interactions: PageTable = NO_TABLE
    """Interactions of two factors."""
    effect_rows: pd.DataFrame | None = None
    """Both as numbers (``analysis.factor_effects.effect_rows``), to be downloaded; None where there are none."""
    tasks: PageTable = NO_TABLE
    tuning: PageTable = NO_TABLE
    """The values tried for each tuned arm and task, and the one chosen; no row where nothing was tuned."""
    published: PageTable = NO_TABLE
    """What was published beside what was measured here, each figure with where it comes from."""
    published_note: str = ""
    """Why there is no such table."""
    runs: PageTable = NO_TABLE
    """Every planned run and its state."""
    figures: Mapping[str, Drawing] = field(default_factory=dict)
    """``effects``, ``interactions``, ``differences``, ``seeds`` and ``factors``, those that there are."""
    commands: Sequence[tuple[str, str]] = ()
    """Each arm and the exact command that repeats it."""
    failures: Sequence[Failure] = ()
    stale: Mapping[str, str] = field(default_factory=dict)
    """Done runs of another version of the method or the recipe: which, by run id (``analysis.stale``)."""
    limits: Sequence[str] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)
    points: Sequence[ParetoPoint] = ()
    """Its arms, for the figure of all studies."""
    baselines: Sequence[Baseline] = ()
    """What stands beside them, in the figure too."""
    seconds: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    """By run id, the device and the seconds of every done run."""
    trial_seconds: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    """The same of the trials that chose tuned values."""
    frame: pd.DataFrame | None = None
    """The tidy frame, to be downloaded."""

    @property
    def anchor(self) -> str:
        return re.sub(r"[^A-Za-z0-9_-]+", "-", self.name) or "study"

    @property
    def href(self) -> str:
        """The page's address, from the index."""
        return f"study-{self.anchor}.html"

    @property
    def planned(self) -> int:
        return sum(self.states.values())

    @property
    def claims(self) -> list[tuple[Answer, str]]:
        """Each answer and its numbers (``claims_text.numbers_of``)."""
        return [(answer, numbers_of(answer)) for answer in self.answers]

    @property
    def waiting(self) -> list[tuple[str, str]]:
        """Planned runs that are not done, folded: each arm and its tasks and seeds in words."""
        return waiting_words(self.runs)

    @property
    def verdicts(self) -> Verdicts:
        """The answers, for a notebook."""
        return Verdicts(self.answers)


def with_done_runs(studies: Sequence[StudyPage]) -> list[StudyPage]:
    """The studies that a published report shows, and the ledger of a notebook."""
    return [study for study in studies if study.states.get("done", 0)]


def without_missing(table: PageTable) -> PageTable:
    """The table of runs without those that are missing, whose rows would be dashes."""
    if not table:
        return table
    there = (table.text["State"] != "missing").to_numpy()
    if there.all():
        return table
    order = None if table.order is None else table.order[there].reset_index(drop=True)
    ids = tuple(run_id for run_id, kept in zip(table.ids, there, strict=False) if kept)
    return replace(table, text=table.text[there].reset_index(drop=True), order=order, ids=ids)


def waiting_words(table: PageTable) -> list[tuple[str, str]]:
    """Of the table of runs, each arm with missing ones and which: ``cola, seeds 0, 1; stsb, seed 0``."""
    if not table:
        return []
    missing = table.text[table.text["State"] == "missing"]
    found = []
    for arm, rows in missing.groupby("Arm", sort=False):
        each = [(str(task), list(seeds)) for task, seeds in rows.groupby("Task", sort=False)["Seed"]]
        words = [f"{task}, seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)}" for task, seeds in each]
        found.append((str(arm), "; ".join(words)))
    return found


def failures_of(run_states: pd.DataFrame) -> tuple[Failure, ...]:
    """The failed and corrupt runs of ``analysis.collect.states``."""
    bad = run_states[run_states["state"].isin(["failed", "corrupt"])].drop_duplicates("run_id")
    return tuple(Failure(run["run_id"], run["state"], run["error"]) for run in bad.to_dict("records"))


def counts_of(run_states: pd.DataFrame) -> dict[str, int]:
    """How many runs are in each of ``STATES``, zeros included."""
    return {state: int((run_states["state"] == state).sum()) for state in STATES}


def seed_limits(differences: Mapping[str, Difference]) -> list[str]:
    """What few seeds cannot show, with the smallest differences that they could."""
    if not differences or all(difference.seedless for difference in differences.values()):
        return []
    seeds = min(difference.n_seeds for difference in differences.values())
    if seeds < MIN_SEEDS:
        return [
            "One seed cannot show variation between seeds: intervals cover examples alone, and no claim is decided."
        ]
    if seeds >= FEW_SEEDS:
        return []
    least, most = (seen(pick(differences.values(), key=lambda one: one.detectable)) for pick in (min, max))
    ends = least if least == most else f"{least} to {most}, by the arm"
    return [
        f"{seeds} seeds show little of how much seeds differ, so intervals are wide. The smallest true difference "
        f"that they detect in about 80 % of cases: {ends}."
    ]
