"""What one study has to say: from its run folders to plain values, ready to be written as a page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from xtc_study.analysis.claims import Answer, answers, comparisons_of
from xtc_study.analysis.collect import collect, states
from xtc_study.analysis.glue_average import is_whole_glue
from xtc_study.analysis.pareto import ParetoPoint, pareto_points
from xtc_study.analysis.published import beside_measured, why_not_comparable
from xtc_study.analysis.score_tables import arm_table, run_table, task_table
from xtc_study.analysis.stale import stale_runs
from xtc_study.analysis.stats import FEW_SEEDS, MIN_SEEDS, Difference, seen
from xtc_study.analysis.teachers import teachers_score, teachers_size
from xtc_study.arms import Arm
from xtc_study.report.claims_text import numbers_of
from xtc_study.report.figures.style import Drawing
from xtc_study.report.notices import notices_of
from xtc_study.report.provenance import provenance_of
from xtc_study.report.scope import Scope, scope_of, student_epochs
from xtc_study.report.study_figures import figures_of
from xtc_study.report.tables import (
    P_COLUMN,
    PageTable,
    arm_order,
    arm_text,
    published_order,
    published_text,
    run_order,
    run_text,
    score_text,
    size_text,
    task_order,
    task_text,
)
from xtc_study.studies import ClaimSpec, PlannedRun

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
    arms: PageTable | None = None
    """The reference first, then each arm with its difference to it."""
    tasks: PageTable | None = None
    published: PageTable | None = None
    """What was published beside what was measured here, each figure with where it comes from."""
    published_note: str = ""
    """Why there is no such table."""
    runs: PageTable | None = None
    """Every planned run and its state."""
    figures: Mapping[str, Drawing] = field(default_factory=dict)
    """``differences``, ``seeds`` and ``factors``, those that there are."""
    commands: Sequence[tuple[str, str]] = ()
    """Each arm and the exact command that repeats it."""
    failures: Sequence[Failure] = ()
    stale: Mapping[str, str] = field(default_factory=dict)
    """Done runs of another version of the method or the recipe: which, by run id (``analysis.stale``)."""
    limits: Sequence[str] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)
    points: Sequence[ParetoPoint] = ()
    """Its arms, for the figure of all studies."""
    seconds: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    """By run id, the device and the seconds of every done run."""
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
        return [] if self.runs is None else waiting_words(self.runs)


def study_page(
    *,
    name: str,
    title: str,
    question: str,
    reference: str,
    claims: Sequence[ClaimSpec],
    planned: list[PlannedRun],
    runs_folder: Path,
    run_command: str,
    commands: Sequence[tuple[str, str]] = (),
    limits: Sequence[str] = (),
    chance: Mapping[tuple[str, str], float] | None = None,
    arms: Sequence[Arm] = (),
) -> StudyPage:
    """One study from its run folders. Predictions that cannot be compared leave its claims undecided.

    Args:
        name: the study's short name.
        title: the heading of its page.
        question: what it asks.
        reference: the arm that heads the tables and that the others are compared with.
        claims: what is put to the test, in the order of the page.
        planned: its runs, done or not.
        runs_folder: where the folders of the runs are.
        run_command: what to type to do the missing runs.
        commands: each arm and the command that repeats it.
        limits: what its numbers do not show.
        chance: by task and split, the score of guessing, in the metric's scale.
        arms: with their factors, where the study is a grid.

    Raises:
        ValueError: an arm has two runs of one task and seed.
    """
    # What can be said before any run is done.
    frame, run_states = collect(runs_folder, planned), _shown_states(states(runs_folder, planned))
    stale = stale_runs(frame)
    page = StudyPage(
        name=name,
        title=title,
        question=question,
        answers=answers(claims, {}, nothing_done=True),
        states=counts_of(run_states),
        run_command=run_command,
        scope=scope_of(planned),
        runs=_runs(run_states, frame, stale),
        commands=commands,
        failures=failures_of(run_states),
        stale=stale,
        limits=limits,
        provenance=provenance_of(frame),
    )
    if frame.empty:
        return page

    # The resamples are drawn once: tables, figures and verdicts show the same differences.
    comparisons, broken = comparisons_of(runs_folder, frame, claims, reference)
    differences = comparisons[reference]
    table = arm_table(frame, reference, differences)
    epochs = {run.run_id: student_epochs(run.recipe) for run in planned}

    return replace(
        page,
        limits=[*notices_of(frame), *limits, *_limits_of(differences)],
        answers=answers(claims, comparisons, broken),
        arms=PageTable(arm_text(table, reference), _arms_caption(frame, reference, differences), arm_order(table)),
        tasks=_tasks(frame, reference),
        published=_published(frame),
        published_note=why_not_comparable(frame),
        figures=figures_of(frame, arms, reference, claims, differences, chance),
        points=pareto_points(frame, table, epochs, study=title, href=page.href),
        seconds=_seconds(frame),
        frame=frame,
    )


def _shown_states(run_states: pd.DataFrame) -> pd.DataFrame:
    """``analysis.collect.states`` as a page counts them: what was interrupted has to be run, as what is missing."""
    return run_states.assign(state=run_states["state"].replace("interrupted", "missing"))


def _seconds(frame: pd.DataFrame) -> dict[str, tuple[str, float]]:
    runs = frame.drop_duplicates("run_id")
    spent = zip(runs["device"].tolist(), runs["duration_s"].tolist(), strict=True)
    return dict(zip(runs["run_id"].tolist(), spent, strict=True))


def _tasks(frame: pd.DataFrame, reference: str) -> PageTable:
    table = task_table(frame, reference)
    several = table["task"].nunique() > 1
    of_tasks = f"{table['task'].nunique()} tasks" if several else "one task"
    caption = f"The primary metric of each task ({of_tasks}), in points, with the lowest and the highest seed."
    return PageTable(task_text(table), caption, task_order(table), filters=("Task", "Arm"))


def _runs(run_states: pd.DataFrame, frame: pd.DataFrame, stale: Mapping[str, str]) -> PageTable | None:
    if run_states.empty:
        return None
    table = run_table(run_states, frame, stale)
    caption = "Every run. The score is the primary metric in points, of the file after loading it again."
    ids = tuple(table["run_id"])
    return PageTable(run_text(table), caption, run_order(table), ids, filters=("State", "Arm", "Task"))


def without_missing(table: PageTable | None) -> PageTable | None:
    """The table of runs without those that are missing, whose rows would be dashes; None if no other is there."""
    if table is None:
        return None
    there = (table.text["State"] != "missing").to_numpy()
    if there.all():
        return table
    if not there.any():
        return None
    order = None if table.order is None else table.order[there].reset_index(drop=True)
    ids = tuple(run_id for run_id, kept in zip(table.ids, there, strict=False) if kept)
    return replace(table, text=table.text[there].reset_index(drop=True), order=order, ids=ids)


def waiting_words(table: PageTable) -> list[tuple[str, str]]:
    """Of the table of runs, each arm with missing ones and which: ``cola, seeds 0, 1; stsb, seed 0``."""
    missing = table.text[table.text["State"] == "missing"]
    found = []
    for arm, rows in missing.groupby("Arm", sort=False):
        each = [(str(task), list(seeds)) for task, seeds in rows.groupby("Task", sort=False)["Seed"]]
        words = [f"{task}, seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)}" for task, seeds in each]
        found.append((str(arm), "; ".join(words)))
    return found


def _published(frame: pd.DataFrame) -> PageTable | None:
    table = beside_measured(frame)
    if table.empty:
        return None
    caption = (
        "Published figures beside those measured here, in points: same encoder, depth, bits, task and metric. "
        "Augmentation, learning rate and epochs may differ. Status: read in its source, derived from what was read, "
        "or recalled and unverified."
    )
    return PageTable(published_text(table), caption, published_order(table), filters=("Arm", "Task", "Origin"))


def failures_of(run_states: pd.DataFrame) -> tuple[Failure, ...]:
    """The failed and corrupt runs of ``analysis.collect.states``."""
    bad = run_states[run_states["state"].isin(["failed", "corrupt"])].drop_duplicates("run_id")
    return tuple(Failure(run["run_id"], run["state"], run["error"]) for run in bad.to_dict("records"))


def counts_of(run_states: pd.DataFrame) -> dict[str, int]:
    """How many runs are in each of ``STATES``, zeros included."""
    return {state: int((run_states["state"] == state).sum()) for state in STATES}


def _limits_of(differences: Mapping[str, Difference]) -> list[str]:
    """What few seeds cannot show, with the smallest differences that they could."""
    if not differences:
        return []
    seeds = min(difference.n_seeds for difference in differences.values())
    if seeds < MIN_SEEDS:
        return [
            "One seed says nothing of how much seeds differ: intervals are of examples alone, no claim is decided."
        ]
    if seeds >= FEW_SEEDS:
        return []
    least, most = (seen(pick(differences.values(), key=lambda one: one.detectable)) for pick in (min, max))
    ends = least if least == most else f"{least} to {most}, by the arm"
    return [
        f"{seeds} seeds tell little of how much seeds differ, so intervals are wide. The smallest true difference "
        f"that would have been seen in some 80 % of cases: {ends}."
    ]


def _arms_caption(frame: pd.DataFrame, reference: str, differences: Mapping[str, Difference]) -> str:
    primary = frame[frame["is_primary"]]

    # What the score is the mean of.
    tasks = len(primary[["task", "split"]].drop_duplicates())
    mean = "the GLUE average of nine columns" if is_whole_glue(frame) else f"mean of {tasks} tasks and splits"
    caption = "Score: the primary metric" + (f", {mean}" if tasks > 1 else "") + ", in points."

    # The two sizes must not be mixed, so both are explained.
    caption += " Compression: the teacher's fp32 file over the bytes on disk. Paper's size: every matrix at its bits"
    caption += " and nothing else; 1 MiB, the unit of the paper's figures, is 2^20 bytes."
    if primary["weight_bits"].eq(2).any():
        caption += " It counts 2 bits for a ternary weight, of which the file holds five in a byte (1.6 bits each)."

    # One mean of teachers of several depths would be no arm's.
    teacher = teachers_score(primary)
    if primary["teacher_layers"].nunique() > 1:
        caption += " Teachers differ in depth, and each arm's is its own."
    elif pd.notna(teacher):
        (size,) = size_text(pd.Series([teachers_size(primary)]))
        caption += f" The fp32 teachers score {score_text(teacher)} and take {size}."

    # All differences are drawn alike, so any of them has the numbers of the draw.
    drawn = next(iter(differences.values()), None)
    if drawn:
        caption += (
            f" Difference: to {reference}, in points, over {drawn.resamples:,} paired resamples "
            f"(generator seed {drawn.rng_seed}). {P_COLUMN}: two-sided p-value, adjusted for the number of arms; "
            "the intervals are not. A claim's p-value above is of another test, adjusted over the claims."
        )
    return caption
