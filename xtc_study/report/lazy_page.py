"""One study's page from its run folders, part by part: each is computed when it is first read, and once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd

from xtc_study.analysis.baselines import Baseline, baselines
from xtc_study.analysis.chance import chance_by_task
from xtc_study.analysis.choices import Choice, diverged
from xtc_study.analysis.claims import OF_FACTORS, Answer, answers, comparisons_of
from xtc_study.analysis.collect import collect, states
from xtc_study.analysis.factor_effects import DesignEffects, effect_rows, effects_of, missing
from xtc_study.analysis.pareto import ParetoPoint, pareto_points
from xtc_study.analysis.published import why_not_comparable
from xtc_study.analysis.score_tables import arm_table
from xtc_study.analysis.stale import stale_runs
from xtc_study.analysis.stats import Difference
from xtc_study.report.baselines import with_baselines
from xtc_study.report.designed import NO_DESIGN, aliases_part, design_part, effects_part, interactions_part
from xtc_study.report.figures.style import Drawing
from xtc_study.report.notices import notices_of
from xtc_study.report.pareto import pareto_drawing
from xtc_study.report.provenance import provenance_of
from xtc_study.report.scope import Scope, scope_of, student_epochs
from xtc_study.report.study import Failure, StudyPage, counts_of, failures_of, seed_limits
from xtc_study.report.study_figures import StudyFigures
from xtc_study.report.study_tables import arms_part, published_part, runs_part, tasks_part
from xtc_study.report.tables import PageTable
from xtc_study.report.tuned import (
    hours_text,
    seconds_of,
    tuning_limits,
    tuning_table,
    with_tuned_arms,
    with_tuned_tasks,
)
from xtc_study.runs.records import RunFileError
from xtc_study.studies import PlannedRun, StudySpec
from xtc_study.tuning import Tune


@dataclass(frozen=True)
class PageSource:
    """What a study's page is made of."""

    spec: StudySpec
    """Arms, reference, claims and limits, at the profile and with the axes chosen."""
    planned: list[PlannedRun]
    """Its runs, done or not."""
    runs_folder: Path
    """Where the folders of the runs are."""
    run_command: str
    """What to type to do the missing runs."""
    commands: Sequence[tuple[str, str]] = ()
    """Each arm and the command that repeats it."""
    notes: Sequence[str] = ()
    """What numbers of its profile do not show."""
    tune: Tune = field(default_factory=Tune)
    """What was tuned."""
    choices: Sequence[Choice] = ()
    """The values that trials chose."""
    trials: Sequence[PlannedRun] = ()


class LazyStudyPage(StudyPage):
    """A ``StudyPage`` that reads run folders when a part is asked for. Predictions that cannot be compared leave its
    claims undecided.

    A notebook shows the parts: ``verdicts``, ``arms``, ``figures["differences"]``, ``figures["factors"]``,
    ``figures["seeds"]``, ``tasks``, ``tuning``, ``published``, ``pareto``; of a study with a design also ``design``,
    ``aliases``, ``effects``, ``interactions`` and the figures of these two. Each says in a sentence what is missing
    where it has nothing to show.

    Raises:
        ValueError: when a part is read, where an arm has two runs of one task and seed.
    """

    def __init__(self, source: PageSource) -> None:
        # The fields of StudyPage are computed below, so its own constructor has nothing to do.
        self.source = source

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {state}" for state, count in self.states.items() if count)
        return f"{self.title} ({self.name}: {counts or 'no runs'})"

    # What can be read before any run is done.

    @property
    def name(self) -> str:
        return self.source.spec.name

    @property
    def title(self) -> str:
        return self.source.spec.title

    @property
    def question(self) -> str:
        return self.source.spec.question

    @property
    def run_command(self) -> str:
        return self.source.run_command

    @property
    def commands(self) -> Sequence[tuple[str, str]]:
        return self.source.commands

    @cached_property
    def scope(self) -> Scope:
        return scope_of(self.source.planned)

    @cached_property
    def settings(self) -> pd.DataFrame:
        """One row an arm, one column an axis: the label that the arm has on it."""
        return pd.DataFrame({arm.name: arm.factors for arm in self.source.spec.arms}).T

    # Runs.

    @cached_property
    def run_states(self) -> pd.DataFrame:
        """``analysis.collect.states``; what was interrupted has to be run, as what is missing."""
        found = states(self.source.runs_folder, self.source.planned)
        return found.assign(state=found["state"].replace("interrupted", "missing"))

    @cached_property
    def trial_states(self) -> pd.DataFrame:
        """Those of the trials, but for trials that diverged, which the table of tuning names."""
        found, runs = states(self.source.runs_folder, self.source.trials), self.source.runs_folder
        lost = {trial.run_id for trial in self.source.trials if diverged(runs, trial)}
        return found[~found["run_id"].isin(lost)]

    @cached_property
    def trial_frame(self) -> pd.DataFrame:
        """The tidy frame of the trials. Its scores are of held-out training rows, and stand in no other table."""
        return collect(self.source.runs_folder, self.source.trials, trials=True)

    @cached_property
    def states(self) -> Mapping[str, int]:
        return counts_of(self.run_states)

    @cached_property
    def failures(self) -> Sequence[Failure]:
        return failures_of(pd.concat([self.run_states, self.trial_states], ignore_index=True))

    @cached_property
    def frame(self) -> pd.DataFrame:
        return collect(self.source.runs_folder, self.source.planned)

    @cached_property
    def stale(self) -> Mapping[str, str]:
        return stale_runs(self.frame)

    @cached_property
    def runs(self) -> PageTable:
        table = runs_part(self.run_states, self.frame, self.stale)
        return with_tuned_tasks(table, self.source.choices)

    @cached_property
    def provenance(self) -> Mapping[str, str]:
        found = provenance_of(self.frame)
        trials = hours_text(self.trial_seconds)
        return {**found, "Tuning": trials} if found and trials else found

    @cached_property
    def seconds(self) -> Mapping[str, tuple[str, float]]:
        return seconds_of(self.frame)

    @cached_property
    def trial_seconds(self) -> Mapping[str, tuple[str, float]]:
        return seconds_of(self.trial_frame)

    # Differences, which tables, figures and verdicts share: the resamples are drawn once.

    @cached_property
    def _comparisons(self) -> tuple[dict[str, dict[str, Difference]], dict[tuple[str, str], str]]:
        spec = self.source.spec
        return comparisons_of(self.source.runs_folder, self.frame, spec.claims, spec.reference)

    @property
    def differences(self) -> Mapping[str, Difference]:
        """By arm, its difference to the reference; empty where nothing is done."""
        return self._comparisons[0][self.source.spec.reference]

    @cached_property
    def answers(self) -> Sequence[Answer]:
        if self.frame.empty:
            return answers(self.source.spec.claims, {}, nothing_done=True)
        comparisons, broken = self._comparisons
        effects, why = self._effects
        if self.source.spec.design and effects is None and not self._unbalanced:
            broken = {**broken, **{(axis, OF_FACTORS): why for axis in self.source.spec.axes}}
        of_factors = effects.by_factor() if effects else {}
        return answers(self.source.spec.claims, {**comparisons, OF_FACTORS: of_factors}, broken)

    @cached_property
    def _unbalanced(self) -> str:
        """What is missing before effects of factors can be estimated; empty where nothing is."""
        return missing(self.frame, self.source.spec, [run.recipe.task for run in self.source.planned])

    @cached_property
    def _effects(self) -> tuple[DesignEffects | None, str]:
        """Of a study with a design, the effects of its factors; None with the reason where there are none."""
        if self.source.spec.design is None:
            return None, NO_DESIGN
        if why := self._unbalanced:
            return None, why
        try:
            return effects_of(self.source.runs_folder, self.frame, self.source.spec), ""
        except RunFileError as error:
            return None, f"The predictions cannot be compared: {error}."

    @cached_property
    def limits(self) -> Sequence[str]:
        tuning = tuning_limits(self.source.choices, self.source.tune, self.source.spec)
        limits = [*self.source.spec.limits, *tuning, *self.source.notes]
        effects, _ = self._effects
        compared = effects.by_factor() if effects else self.differences
        return [*notices_of(self.frame), *limits, *seed_limits(compared)] if len(self.frame) else limits

    # Tables.

    @cached_property
    def scores(self) -> pd.DataFrame:
        """The numbers behind ``arms``: ``analysis.score_tables.arm_table``, by arm."""
        return arm_table(self.frame, self.source.spec.reference, self.differences).set_index("arm")

    @cached_property
    def arms(self) -> PageTable:
        reference, (_, broken) = self.source.spec.reference, self._comparisons
        left_out = {arm: why for (arm, compared_with), why in broken.items() if compared_with == reference}
        table = arms_part(self.frame, self.scores.reset_index(), reference, self.differences, left_out)
        return with_baselines(with_tuned_arms(table, list(self.scores.index), self.source.choices), self.baselines)

    @cached_property
    def baselines(self) -> Sequence[Baseline]:
        """What stands beside the arms: one answer, static tables, published small models, the teacher."""
        return baselines(self.source.runs_folder, self.frame)

    @property
    def design(self) -> PageTable:
        return design_part(self.source.spec)

    @property
    def aliases(self) -> PageTable:
        return aliases_part(self.source.spec)

    @cached_property
    def effects(self) -> PageTable:
        effects, why = self._effects
        return effects_part(effects, self.source.spec, why)

    @cached_property
    def interactions(self) -> PageTable:
        return interactions_part(*self._effects)

    @cached_property
    def effect_rows(self) -> pd.DataFrame | None:
        effects, _ = self._effects
        return None if effects is None else effect_rows(effects)

    @cached_property
    def tasks(self) -> PageTable:
        return with_tuned_tasks(tasks_part(self.frame, self.source.spec.reference), self.source.choices)

    @cached_property
    def tuning(self) -> PageTable:
        return tuning_table(self.source.choices, self.source.tune, self.trial_frame)

    @cached_property
    def published(self) -> PageTable:
        return with_tuned_tasks(published_part(self.frame), self.source.choices)

    @cached_property
    def published_note(self) -> str:
        return why_not_comparable(self.frame) if len(self.frame) else ""

    # Figures.

    @cached_property
    def figures(self) -> StudyFigures:
        spec = self.source.spec
        return StudyFigures(
            self.frame,
            spec,
            differences=lambda: self.differences,
            chance=lambda: chance_by_task(self.source.runs_folder, self.frame),
            effects=lambda: self._effects,
        )

    @cached_property
    def points(self) -> Sequence[ParetoPoint]:
        epochs = {run.run_id: student_epochs(run.recipe) for run in self.source.planned}
        if self.frame.empty:
            return []
        return pareto_points(self.frame, self.scores.reset_index(), epochs, study=self.title, href=self.href)

    @cached_property
    def pareto(self) -> Drawing:
        """Its arms' scores against the bytes of their files. The report has this figure of all studies together."""
        return pareto_drawing(self.points, self.baselines)
