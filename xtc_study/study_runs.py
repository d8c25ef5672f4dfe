"""The runs of a study: its trials, the runs at the values that they choose, and which of them are still to do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from xtc_study.nearest import did_you_mean
from xtc_study.recipe import TRIAL
from xtc_study.studies import PlannedRun, StudyError, StudySpec
from xtc_study.trials import TunedArm, tuned_run, waiting_run

if TYPE_CHECKING:
    import pandas as pd

    from xtc_study.analysis.choices import Choice
    from xtc_study.places import Compute, Places
    from xtc_study.runs.carry_out import RunFilter
    from xtc_study.runs.outcomes import Outcome


class StudyRuns:
    """The runs of one study at one scale.

    Args:
        spec: the study at the profile.
        untuned: a run of every task, seed and arm, at the arm's own values.
        tuned: the arms to tune, with their trials.
        folder: where the folders of the runs are.
    """

    def __init__(
        self, spec: StudySpec, untuned: Sequence[PlannedRun], tuned: Sequence[TunedArm], folder: Path
    ) -> None:
        self.spec, self.untuned, self.tuned, self.folder = spec, list(untuned), list(tuned), folder
        self._known: dict[tuple[str, str], Choice] = {}

    @cached_property
    def trials(self) -> list[PlannedRun]:
        """The runs that decide between values, each once for every arm that needs it."""
        return [trial for arm in self.tuned for of_point in arm.trials for trial in of_point]

    def untuned_arms(self) -> list[str]:
        """Return the arms that are not tuned on some task although others are."""
        tuned = {(one.task, one.arm) for one in self.tuned}
        return list(dict.fromkeys(run.arm for run in self.untuned if (run.recipe.task, run.arm) not in tuned))

    def choices(self) -> list[Choice]:
        """Read what the finished trials choose for each tuned arm and task. What is chosen stays so."""
        from xtc_study.analysis.choices import choose

        found = []
        for arm in self.tuned:
            choice = self._known.get((arm.task, arm.arm)) or choose(arm, self.folder)
            if choice.chosen is not None:
                self._known[arm.task, arm.arm] = choice
            found.append(choice)
        return found

    def planned(self, choices: Sequence[Choice] | None = None) -> list[PlannedRun]:
        """Return a run of every task, seed and arm, at the chosen values; one that is not chosen yet ``waits``.

        Args:
            choices: as read before, so that several answers agree while trials end; None: read now.
        """
        if not self.tuned:
            return self.untuned
        known = {(choice.task, choice.arm): choice for choice in (self.choices() if choices is None else choices)}
        runs = []
        for run in self.untuned:
            choice = known.get((run.recipe.task, run.arm))
            if choice is None:
                runs.append(run)
            else:
                runs.append(waiting_run(run) if choice.chosen is None else tuned_run(run, choice.chosen))
        return runs

    def states(self, planned: Sequence[PlannedRun] | None = None) -> pd.DataFrame:
        """Return the state of each planned run and then of each trial, as ``analysis.collect.states``, with the column
        ``trial``. A trial may also be ``diverged``, which is an answer and no failure.

        Args:
            planned: as returned before; None: planned now.
        """
        from xtc_study.analysis.choices import diverged
        from xtc_study.analysis.collect import states

        found = states(self.folder, [*(self.planned() if planned is None else planned), *self.trials])
        found = found.assign(trial=[place >= len(self.untuned) for place in range(len(found))])
        lost = {trial.run_id for trial in self.trials if diverged(self.folder, trial)}
        return found.assign(state=found["state"].mask(found["run_id"].isin(lost), "diverged"))

    def trial_states(self) -> pd.DataFrame:
        """Return the state of each trial, each once."""
        found = self.states()
        return found[found["trial"]].drop(columns="trial").drop_duplicates("run_id")

    def to_do(self, which: RunFilter | None = None, but_not: Collection[str] = ()) -> list[PlannedRun]:
        """Return the runs that can be carried out now, each once, trials first. Runs that wait for trials cannot.

        Args:
            which: which runs; None: all that are not done.
            but_not: ids of runs to leave out.

        Raises:
            StudyError: an arm the study does not have.
        """
        from xtc_study.runs.carry_out import RunFilter

        which = which or RunFilter()
        codes = {arm.code: arm.name for arm in self.spec.arms if arm.code}
        wanted_arms = [codes.get(arm, arm) for arm in which.arms or ()]
        for arm in wanted_arms:
            if arm not in self.spec.arm_names:
                has = ", ".join(map(repr, self.spec.arm_names)) + did_you_mean(arm, self.spec.arm_names)
                raise StudyError(f"arm={arm!r}: study {self.spec.name} has {has}")
        planned = self.planned()
        states = dict(self.states(planned)[["run_id", "state"]].itertuples(index=False, name=None))
        wanted = {"failed", "corrupt"}
        wanted |= set() if which.only_failed else {"missing", "running", "interrupted"}
        wanted |= {"done", "diverged"} if which.force else set()
        runs = {
            run.run_id: run
            for run in [*self.trials, *planned]
            if not run.waits
            and run.run_id not in but_not
            and states[run.run_id] in wanted
            and (not wanted_arms or run.arm in wanted_arms)
        }
        return list(runs.values())[: which.limit]


def rounds(studies: Sequence[StudyRuns], which: RunFilter | None = None) -> Iterator[Mapping[str, PlannedRun]]:
    """Yield the runs to carry out, by id: first all that can be, then those whose values the trials among them chose.

    The second round is planned when it is asked for, so the first one must have ended. It is left out where no run
    waited, and has no run whose trials failed.

    Args:
        studies: runs that they share are carried out once.
        which: as for ``StudyRuns.to_do``; its limit holds for both rounds together.
    """
    from xtc_study.runs.carry_out import RunFilter

    which = which or RunFilter()
    first = {id(runs): runs.to_do(which) for runs in studies}
    together = {run.run_id: run for of_study in first.values() for run in of_study}
    waited = [runs for runs in studies if any(run.waits for run in runs.planned())]
    yield together

    chosen: dict[str, PlannedRun] = {}
    for runs in waited:
        left = None if which.limit is None else max(which.limit - len(first[id(runs)]), 0)
        chosen |= {run.run_id: run for run in runs.to_do(replace(which, limit=left), but_not=together)}
    if chosen:
        yield chosen


def carry_out_rounds(
    studies: Sequence[StudyRuns],
    places: Places,
    compute: Compute,
    workers: int | None = None,
    executor: Executor | None = None,
    which: RunFilter | None = None,
    timeout: float | None = None,
) -> Iterator[Outcome]:
    """Carry out the ``rounds`` of studies and yield each outcome as it comes.

    The checks of the first round are made now, those of the second when its turn comes. Arguments and errors are those
    of ``runs.carry_out``.
    """
    from xtc_study.runs import carry_out as runner

    def started(runs: Mapping[str, PlannedRun]) -> Iterator[Outcome]:
        recipes = [run.recipe for run in runs.values()]
        redo = which is not None and which.force
        return runner.carry_out(recipes, places, compute, workers, executor, timeout, redo=redo)

    turns = rounds(studies, which)
    return _in_turn(started(next(turns)), turns, started)


def _in_turn(
    first: Iterator[Outcome],
    others: Iterator[Mapping[str, PlannedRun]],
    started: Callable[[Mapping[str, PlannedRun]], Iterator[Outcome]],
) -> Iterator[Outcome]:
    yield from map(judged, first)
    for runs in others:
        yield from map(judged, started(runs))


def judged(outcome: Outcome) -> Outcome:
    """Return the outcome of a run; of a trial that diverged, which is an answer, the state is ``diverged``."""
    from xtc_study.analysis.choices import DIVERGED

    if outcome["state"] != "failed" or outcome["error"]["type"] != DIVERGED:
        return outcome
    is_trial = outcome["run_id"].rpartition("-")[0].endswith(TRIAL)
    return {**outcome, "state": "diverged"} if is_trial else outcome
