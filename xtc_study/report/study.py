"""What one study has to say: from its run folders to plain values, ready to be written as a page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from xtc_study.analysis.claims import Answer, answers, comparisons_of
from xtc_study.analysis.collect import collect, shape_words, states
from xtc_study.analysis.glue_average import is_whole_glue
from xtc_study.analysis.published import beside_measured, why_not_comparable
from xtc_study.analysis.stale import stale_runs
from xtc_study.analysis.stats import FEW_SEEDS, MIN_SEEDS, Claim, Difference, seen
from xtc_study.analysis.teachers import teachers_score, teachers_size
from xtc_study.arms import Arm
from xtc_study.report.claims_text import numbers_of
from xtc_study.report.figures.pareto import Point
from xtc_study.report.figures.style import Drawing
from xtc_study.report.notices import notices_of
from xtc_study.report.provenance import provenance_of
from xtc_study.report.scope import Scope, scope_of, student_epochs
from xtc_study.report.study_figures import figures_of
from xtc_study.report.tables import (
    P_COLUMN,
    PageTable,
    arm_order,
    arm_table,
    arm_text,
    published_order,
    published_text,
    run_order,
    run_table,
    run_text,
    score_text,
    size_text,
    task_order,
    task_table,
    task_text,
)
from xtc_study.studies import PlannedRun

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
    sources: Sequence[str] = ()
    """Whose claim each is and where it stands, in the order of ``answers``."""
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
    points: Sequence[Point] = ()
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
    def claims(self) -> list[tuple[Answer, str, str]]:
        """Each answer, its numbers (``claims_text.numbers_of``) and whose claim it is; empty text where not known."""
        sources = [*self.sources, *[""] * len(self.answers)]
        return [(answer, numbers_of(answer), source) for answer, source in zip(self.answers, sources, strict=False)]

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
    claims: Sequence[tuple[str, Claim]],
    planned: list[PlannedRun],
    runs_folder: Path,
    run_command: str,
    commands: Sequence[tuple[str, str]] = (),
    limits: Sequence[str] = (),
    chance: Mapping[tuple[str, str], float] | None = None,
    arms: Sequence[Arm] = (),
    sources: Sequence[str] = (),
) -> StudyPage:
    """One study from its run folders. Predictions that cannot be compared leave its claims undecided.

    Args:
        reference: the arm that heads the tables and that the others are compared with.
        claims: each finding as a sentence and the same in numbers.
        chance: by task and split, the score of guessing, in the metric's scale.
        arms: with their factors, where the study is a grid.
        sources: whose each claim is, in the order of ``claims``.

    Raises:
        ValueError: an arm has two runs of one task and seed.
    """
    frame, standing = collect(runs_folder, planned), states(runs_folder, planned)
    stale = stale_runs(frame)
    page = StudyPage(
        name=name,
        title=title,
        question=question,
        answers=answers(claims, {}, nothing_done=True),
        states=counts_of(standing),
        run_command=run_command,
        sources=sources,
        scope=scope_of(planned),
        runs=_runs(standing, frame, stale),
        commands=commands,
        failures=failures_of(standing),
        stale=stale,
        limits=limits,
        provenance=provenance_of(frame),
    )
    if frame.empty:
        return page
    comparisons, broken = comparisons_of(runs_folder, frame, claims, reference)
    found = comparisons[reference]
    any_difference = next(iter(found.values()), None)
    table = arm_table(frame, reference, found)
    tasks = task_table(frame, reference)
    primary = frame[frame["is_primary"]]
    of_tasks = f"{primary['task'].nunique()} tasks" if primary["task"].nunique() > 1 else "one task"
    caption = f"The primary metric of each task ({of_tasks}), in points, with the lowest and the highest seed."
    return replace(
        page,
        limits=[*notices_of(frame), *limits, *_limits_of(found)],
        answers=answers(claims, comparisons, broken),
        arms=PageTable(arm_text(table, reference), _arms_caption(frame, reference, any_difference), arm_order(table)),
        tasks=PageTable(task_text(tasks), caption, task_order(tasks), filters=("Task", "Arm")),
        published=_published(frame),
        published_note=why_not_comparable(frame),
        figures=figures_of(frame, arms, reference, [claim for _, claim in claims], found, chance),
        points=points_of(page, frame, table, {run.run_id: student_epochs(run.recipe) for run in planned}),
        seconds=_seconds(frame),
        frame=frame,
    )


def _seconds(frame: pd.DataFrame) -> dict[str, tuple[str, float]]:
    runs = frame.drop_duplicates("run_id")
    spent = zip(runs["device"].tolist(), runs["duration_s"].tolist(), strict=True)
    return dict(zip(runs["run_id"].tolist(), spent, strict=True))


def points_of(page: StudyPage, frame: pd.DataFrame, arms: pd.DataFrame, epochs: Mapping[str, float]) -> list[Point]:
    """The arms that have every task, as points of score against cost.

    Args:
        arms: ``tables.arm_table`` of the frame. epochs: by run id, how long its student was trained.
    """
    primary = frame[frame["is_primary"]]
    tasks = sorted(" ".join(pair) for pair in set(zip(primary["task"], primary["split"], strict=True)))
    points = []
    for arm in arms.to_dict("records"):
        rows = primary[primary["arm"] == arm["arm"]]
        timed = rows["latency_of"].dropna().mode()
        latency_of = str(timed.iloc[0]) if len(timed) else ""
        points.append(
            Point(
                study=page.title,
                arm=str(arm["arm"]),
                href=page.href,
                score=float(arm["score"]),
                low=float(arm["score_low"]),
                high=float(arm["score_high"]),
                size_bytes=float(arm["size_bytes"]),
                latency_ms=float(rows.loc[rows["latency_of"] == latency_of, "latency_ms"].mean()),
                latency_of=latency_of,
                teacher=float(arm["teacher"]),
                weight_bits=int(rows["weight_bits"].iloc[0]),
                layers=shape_words(rows.iloc[0]),
                comparable=(str(rows["model"].iloc[0]), *tasks),
                runs=frozenset(rows["run_id"]),
                epochs=tuple(sorted({epochs[run_id] for run_id in rows["run_id"]})),
            )
        )
    return points


def _runs(standing: pd.DataFrame, frame: pd.DataFrame, stale: Mapping[str, str]) -> PageTable | None:
    if standing.empty:
        return None
    table = run_table(standing, frame, stale)
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


def failures_of(standing: pd.DataFrame) -> tuple[Failure, ...]:
    """The failed and corrupt runs of ``analysis.collect.states``."""
    bad = standing[standing["state"].isin(["failed", "corrupt"])].drop_duplicates("run_id")
    return tuple(Failure(*row) for row in bad[["run_id", "state", "error"]].to_numpy().tolist())


def counts_of(standing: pd.DataFrame) -> dict[str, int]:
    """How many runs are in each of ``STATES``, zeros included."""
    return {state: int((standing["state"] == state).sum()) for state in STATES}


def _limits_of(found: Mapping[str, Difference]) -> list[str]:
    """What few seeds cannot show, with the smallest differences that they could."""
    if not found:
        return []
    seeds = min(difference.n_seeds for difference in found.values())
    if seeds < MIN_SEEDS:
        return [
            "One seed says nothing of how much seeds differ: intervals are of examples alone, no claim is decided."
        ]
    if seeds >= FEW_SEEDS:
        return []
    least, most = (seen(pick(found.values(), key=lambda one: one.detectable)) for pick in (min, max))
    ends = least if least == most else f"{least} to {most}, by the arm"
    return [
        f"{seeds} seeds tell little of how much seeds differ, so intervals are wide. The smallest true difference "
        f"that would have been seen in some 80 % of cases: {ends}."
    ]


def _arms_caption(frame: pd.DataFrame, reference: str, difference: Difference | None) -> str:
    primary = frame[frame["is_primary"]]
    tasks = len(primary[["task", "split"]].drop_duplicates())
    mean = "the GLUE average of nine columns" if is_whole_glue(frame) else f"mean of {tasks} tasks and splits"
    caption = "Score: the primary metric" + (f", {mean}" if tasks > 1 else "") + ", in points."
    teacher = teachers_score(primary)
    caption += " Compression: the teacher's fp32 file over the bytes on disk. Paper's size: every matrix at its bits"
    caption += " and nothing else; 1 MiB, the unit of the paper's figures, is 2^20 bytes."
    if primary["weight_bits"].eq(2).any():
        caption += " It counts 2 bits for a ternary weight, of which the file holds five in a byte (1.6 bits each)."
    if primary["teacher_layers"].nunique() > 1:
        caption += " Teachers differ in depth, and each arm's is its own."
    elif pd.notna(teacher):
        (size,) = size_text(pd.Series([teachers_size(primary)]))
        caption += f" The fp32 teachers score {score_text(teacher)} and take {size}."
    if difference:
        caption += (
            f" Difference: to {reference}, in points, over {difference.resamples:,} paired resamples "
            f"(generator seed {difference.rng_seed}). {P_COLUMN}: two-sided p-value, adjusted for the number of arms; "
            "the intervals are not. A claim's p-value above is of another test, adjusted over the claims."
        )
    return caption
