"""Equal bytes: the best arm of all studies within each budget of bytes, and what an encoder adds, task by task."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import pandas as pd

from xtc_study.analysis.best_of_budget import (
    Best,
    Gain,
    TaskBudgets,
    task_budgets,
    with_encoder,
    without_encoder,
)
from xtc_study.analysis.equal_bytes import BUDGETS_MB
from xtc_study.analysis.optimism import RESAMPLES
from xtc_study.analysis.stats import FEW_SEEDS, MIN_SEEDS
from xtc_study.report.budget_words import encoder_words, space_words
from xtc_study.report.equal_bytes_tables import best_table, encoder_table, space_table
from xtc_study.report.figures.budgets import TaskPanel, score_within_budgets
from xtc_study.report.figures.style import Drawing, drawing
from xtc_study.report.lazy_page import LazyStudyPage
from xtc_study.report.study import StudyPage
from xtc_study.report.tables import PageTable, size_word

NAME = "21_equal_bytes"
"""Of the page and its notebook."""
TITLE = "Equal bytes: what is the best model of a given size?"
NOTHING = "No run is done yet, so there is nothing to choose from."


class EqualBytes:
    """The parts of the page, each computed when it is first read, and once.

    A notebook shows ``answers``, ``figure``, ``best``, ``space``, ``encoder`` and ``limits``. Each says in a sentence
    what is missing where it has nothing to show.

    Args:
        pages: of the studies whose arms compete.
        runs_folder: where the folders of the runs are; None: where the pages read theirs. Without it intervals are
            left out.
        budgets_mb: budgets of a file in MB of 10^6 bytes; None: ``BUDGETS_MB``.

    Raises:
        ValueError: when a part is read, for a budget that is no positive number.
    """

    def __init__(
        self, pages: Sequence[StudyPage], runs_folder: Path | None = None, budgets_mb: Sequence[float] | None = None
    ) -> None:
        self._pages, self._budgets = pages, BUDGETS_MB if budgets_mb is None else budgets_mb
        folders = [page.source.runs_folder for page in pages if isinstance(page, LazyStudyPage)]
        self._runs_folder = runs_folder or next(iter(folders), None)

    def __bool__(self) -> bool:
        """False if no run is done."""
        return bool(self.tasks)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The tidy rows of all studies; a run that several share is in each of them."""
        frames = [page.frame for page in self._pages if page.frame is not None and not page.frame.empty]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

    @cached_property
    def tasks(self) -> Sequence[TaskBudgets]:
        return [] if self.frame.empty else task_budgets(self.frame, self._runs_folder, self._budgets)

    # Choices, which tables, figure and words share.

    @cached_property
    def choices(self) -> Sequence[tuple[TaskBudgets, Sequence[Best]]]:
        return [(task, task.best()) for task in self.tasks]

    @cached_property
    def gains(self) -> Sequence[tuple[TaskBudgets, Sequence[Gain]]]:
        """Of each budget that another arm wins than the next smaller one, the difference of the two."""
        found = []
        for task, line in self.choices:
            after = zip(line[1:], line, strict=False)
            found.append((task, [task.gain(best, smaller) for best, smaller in after if best.arm != smaller.arm]))
        return found

    @cached_property
    def sides(self) -> Sequence[tuple[TaskBudgets, Sequence[Best], Sequence[Best], Sequence[Gain]]]:
        """Of each task the best arms with an encoder, those without, and the differences where a budget has both."""
        found = []
        for task in self.tasks:
            encoders, tables = task.best(with_encoder), task.best(without_encoder)
            by_budget = {best.budget_mb: best for best in tables}
            both = [(best, by_budget[best.budget_mb]) for best in encoders if best.budget_mb in by_budget]
            found.append((task, encoders, tables, [task.gain(best, table) for best, table in both]))
        return found

    # Parts.

    @cached_property
    def answers(self) -> Sequence[tuple[str, str, str]]:
        """Of each task its name, what the encoder is for, and what more space brings, each in a sentence or two."""
        both = zip(self.gains, self.choices, strict=True)
        spaces = [space_words(gains, line, task.budgets_mb) for (task, gains), (_, line) in both]
        return [
            (self.name_of(task), encoder_words(encoders, tables, gains), space)
            for (task, encoders, tables, gains), space in zip(self.sides, spaces, strict=True)
        ]

    @cached_property
    def best(self) -> PageTable:
        if not self:
            return PageTable(pd.DataFrame(), NOTHING)
        return best_table([(self.name_of(task), task, line) for task, line in self.choices])

    @cached_property
    def space(self) -> PageTable:
        return space_table([(self.name_of(task), gains) for task, gains in self.gains])

    @cached_property
    def encoder(self) -> PageTable:
        return encoder_table([(self.name_of(task), gains) for task, _, _, gains in self.sides])

    @cached_property
    def figure(self) -> Drawing:
        panels = [
            TaskPanel(
                self.name_of(task),
                {"with an encoder": encoders, "without a transformer": tables},
                task.teacher,
                task.majority,
            )
            for task, encoders, tables, _ in self.sides
        ]
        hrefs = {page.name: page.href for page in self._pages}
        budgets = self.tasks[0].budgets_mb if self.tasks else []
        title = "The best score within each budget of bytes"
        figure, marks = score_within_budgets(
            panels, budgets, lambda study: hrefs.get(study, "index.html"), title=title
        )
        compared = {self.name_of(task) for task, _, tables, _ in self.sides if tables}
        words = "".join(f" {name}: {encoder}" for name, encoder, _ in self.answers if name in compared)
        return drawing(
            figure,
            "equal_bytes",
            "Score within each budget",
            f"Best score against budget of bytes, {len(panels)} tasks.{words}",
            "Mark: the best arm whose file fits into the budget, a mean over seeds. Vertical line, if there is one: "
            "95 % interval less what the choice among many arms adds. A budget without a mark is too small for every "
            "arm.",
            marks,
        )

    @cached_property
    def limits(self) -> Sequence[str]:
        """What the numbers do not show, one sentence or two each."""
        if not self:
            return [NOTHING]
        limits = [
            "Choice and score use the same dev rows, so the best of many looks better than it is. Where runs have "
            f"their predictions, {RESAMPLES} draws of the rows, each with the choice repeated, measure by how much; "
            "scores less optimism and all intervals are lowered by it. Where many arms are equally good this removes "
            "only a part. Intervals are not adjusted for the number of tasks and budgets."
        ]
        chosen = [best for _, line in self.choices for best in line]
        without = [task for task in self.tasks if task.unreadable == len(task.arms)]
        if len(without) == len(self.tasks):
            limits.append(
                "The predictions of these runs are not at hand, so there is no interval, no optimism and no score of "
                "one answer for all rows: the choice of the best arm is not corrected."
            )
        elif any(task.unreadable for task in self.tasks):
            names = ", ".join(f"{self.name_of(t)} ({t.unreadable} arms)" for t in self.tasks if t.unreadable)
            limits.append(f"Predictions that cannot be read count in no interval and no optimism: {names}.")
        if any(best.arm.seeds < FEW_SEEDS and not best.arm.static for best in chosen):
            limits.append(
                f"An arm with fewer than {FEW_SEEDS} seeds has no interval of its own; a difference needs "
                f"{MIN_SEEDS} seeds that both arms have done."
            )
        left_out = sum(task.left_out for task in self.tasks)
        if left_out:
            limits.append(f"Left out because one seed shows little: {left_out} arms, each counted once a task.")
        largest = self.tasks[0].budgets_mb[-1]
        too_large = [task.teacher_bytes for task in self.tasks if task.teacher_bytes > 1e6 * largest]
        if too_large:
            limits.append(
                f"The fp32 teacher's file ({size_word(max(too_large))}) fits into no budget, nor does a student of "
                "its size."
            )
        return limits

    def name_of(self, task: TaskBudgets) -> str:
        """The task's name, with the split where a task has several."""
        several = sum(other.task == task.task for other in self.tasks) > 1
        return f"{task.task} {task.split}" if several else task.task

    def __repr__(self) -> str:
        if not self:
            return NOTHING
        arms = math.fsum(len(task.arms) for task in self.tasks)
        return f"{len(self.tasks)} tasks, {arms:g} arms of {self.frame['study'].nunique()} studies"
