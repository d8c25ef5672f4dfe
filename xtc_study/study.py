"""One study at one scale: planned, run, collected, answered. What the notebooks and the command line share."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xtc_study.commands import papermill_command, study_command
from xtc_study.places import Compute, Places, project_folder
from xtc_study.profiles import load_profile
from xtc_study.studies import PlannedRun, in_words, load_study, plan, study_at
from xtc_study.study_runs import StudyRuns, carry_out_rounds
from xtc_study.tasks.catalogue import chosen_tasks, find_task
from xtc_study.tasks.user.description import is_description
from xtc_study.trials import chosen_tune, tuned_arms
from xtc_study.values import listed, named

if TYPE_CHECKING:
    import pandas as pd

    from xtc_study.analysis.stats import Difference
    from xtc_study.recipe import Recipe
    from xtc_study.report.lazy_page import LazyStudyPage
    from xtc_study.report.run_states import RunOutcomes
    from xtc_study.report.tables import PageTable
    from xtc_study.runs.carry_out import RunFilter
    from xtc_study.runs.cost import Cost
    from xtc_study.runs.outcomes import Outcome
    from xtc_study.runs.step_times import StepTimes


class Study:
    """A study at a profile's scale, with its runs planned and checked.

    Example:
        >>> study = Study("12_bits", "smoke", seeds=[0, 1], axes={"weights": ["32-bit", "1-bit"]})
        >>> study.run(workers=2)
        >>> page = study.page()
        >>> page.verdicts

    Args:
        name: of the study, a file in ``xtc_study/studies``.
        profile: the scale, a file in ``xtc_study/profiles``.
        places: where data and models are and where results go; None: the profile's results folder, and the hub.
        compute: device and precision.
        tasks: in place of the profile's; each is a name, or the path of a description of your own data
            (``tasks/user/description.py``).
        seeds: in place of the profile's.
        overrides: recipe fields set for every arm, or ``budget``, one of the profile's.
        axes: the points to keep of some of the study's axes, or others (see ``arms.chosen_axes``).
        tune: in place of what the study tunes: fields with the values to try (``tuning.Tune``), or ``none``.

    Raises:
        ValueError: an unknown study, profile, task, field or value. Before anything is written.
    """

    def __init__(
        self,
        name: str,
        profile: str = "smoke",
        places: Places | None = None,
        compute: Compute | None = None,
        tasks: Sequence[str | Path] | None = None,
        seeds: Sequence[int] | None = None,
        overrides: Mapping[str, Any] | None = None,
        axes: Mapping[str, Sequence[Any]] | None = None,
        tune: Any = None,
    ) -> None:
        self.profile = load_profile(profile)
        self.axes = named("axes", axes, {"weights": ["1-bit"]})
        self.spec = study_at(load_study(name), profile, self.axes)
        self.tasks = listed("tasks", tasks, ["cola", "rte"])
        self.seeds = listed("seeds", seeds, [0, 1, 2])
        self.overrides = named("fields", overrides, {"epochs": 2})
        self.compute = compute or Compute()

        names, files = (None, []) if self.tasks is None else chosen_tasks(self.tasks)
        self.places = (places or Places.of(profile)).with_task_files(files)
        untuned = plan(
            load_study(name), self.profile, names, self.seeds, self.overrides, self.axes, self._model_folders()
        )
        self.chosen_tune = tune
        self.tune = chosen_tune(self.spec, self.profile, tune, self.overrides)
        tuned = tuned_arms(untuned, self.spec.arms, self.tune, self.overrides)
        self.runs = StudyRuns(self.spec, untuned, tuned, self.places.runs)
        for task in {run.recipe.task for run in untuned}:
            find_task(task, self.places.task_files)

    @classmethod
    def from_names(cls, name: str, names: Mapping[str, Any]) -> Study:
        """The study that a notebook's parameters cell describes.

        Args:
            names: the notebook's ``globals()``: profile, tasks, seeds, axes, fields, tune, model, and the places.

        Raises:
            ParameterError: papermill set a parameter that the notebook does not have.
            ValueError: as for ``Study``.
        """
        from xtc_study.runs.parameters import check_injected

        check_injected(names)
        model = {"model": names["model"]} if names.get("model") else {}
        return cls(
            name,
            names.get("profile", "smoke"),
            Places.from_names(names),
            Compute.from_names(names),
            tasks=names.get("tasks"),
            seeds=names.get("seeds"),
            overrides={**named("fields", names.get("fields"), {"epochs": 2}), **model},
            axes=names.get("axes"),
            tune=names.get("tune"),
        )

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def planned(self) -> list[PlannedRun]:
        """A run of every task, seed and arm, at its chosen values; while these are not chosen, it ``waits``."""
        return self.runs.planned()

    @property
    def trials(self) -> list[PlannedRun]:
        """The runs that choose the values of tuned arms (``tuning``)."""
        return self.runs.trials

    def _model_folders(self) -> dict[str, str]:
        """Absolute paths of the models chosen as folders: runs are carried out in another folder than this one."""
        roles = ("", "teacher", "pretrained")  # no folder, though "" would be the current one
        models_dir = self.places.models_dir
        folders = {}
        for value in (self.overrides.get("model"), self.overrides.get("start"), *itertools.chain(*self.axes.values())):
            if not isinstance(value, str) or value.strip() in roles:
                continue
            if models_dir is not None and (models_dir / value).is_dir():
                continue  # a run finds it by its name
            folder = Path(value).expanduser().absolute()
            if folder.is_dir():
                folders[value] = str(folder)
        return folders

    def check_models(self, recipes: Sequence[Recipe] | None = None) -> list[str]:
        """Check that the models exist. Only runs need them; results can be read without.

        Args:
            recipes: of the runs that need them; None: of all that are planned.

        Returns:
            One sentence for each model of the hub that could not be checked here (see ``model_check.check_models``).

        Raises:
            ModelError: no such folder, or no such model.
        """
        from xtc_study.model_check import check_models

        planned = [run.recipe for run in self.planned] if recipes is None else recipes
        return check_models(planned, self.places.models_dir)

    def cost(self) -> Cost:
        """Return steps and training seconds of the study, alone and shared, and what is still to do.

        Trials count too. A run that waits for them is counted at the arm's own values.
        """
        from xtc_study.runs.cost import cost_of

        recipes = {run.run_id: run.recipe for run in [*self.trials, *self.planned]}
        return cost_of(list(recipes.values()), self.places, self.compute.device)

    def power(self) -> str:
        """Say in a sentence what difference (with a design: what effect) the planned seeds can detect, and how many
        seeds 5, 2 and 1 points need.

        From the runs that are done, where an arm has two seeds; else from what is usual. Empty where the size of a
        dev split is not known either, and where every arm is a static table, which has no seeds.
        """
        from xtc_study.analysis.power import power_text, spread_of, usual_spread

        if all(run.recipe.static is not None for run in self.planned):
            return ""  # no seeds: what examples can show follows from their number alone
        seeds = len({run.recipe.seed for run in self.planned})
        arms = len(self.spec.arms) if self.spec.design else 2
        measured = spread_of(self.places.runs, self.collect(), self.spec)
        if measured is not None:
            return power_text(measured, seeds)

        tasks = {name: find_task(name, self.places.task_files) for name in {run.recipe.task for run in self.planned}}
        rows = {f"{name} {split}": task.dev_rows for name, task in tasks.items() for split in task.eval_splits}
        known = {name: count for name, count in rows.items() if count is not None}
        return power_text(usual_spread(known, arms), seeds) if len(known) == len(rows) else ""

    def step_times(self) -> StepTimes | None:
        """Return the measured training steps of the study's model (``xtc-study plan --measure``), if there are any."""
        from xtc_study.runs.step_times import read_step_times

        return read_step_times(self.places.results, self.planned[0].recipe.model)

    def states(self) -> pd.DataFrame:
        """Return the state of each planned run: run_id, arm, task, seed, state, error."""
        found = self.runs.states()
        return found[~found["trial"]].drop(columns="trial")

    def to_do(self, which: RunFilter | None = None) -> list[PlannedRun]:
        """Return the runs that ``run`` would carry out now, each once, trials first; not those that wait for trials.

        Raises:
            StudyError: an arm the study does not have.
        """
        return self.runs.to_do(which)

    def runs_by_state(self) -> PageTable:
        """Count the runs of each task and arm by state; a notebook shows a table."""
        from xtc_study.report.run_states import states_table

        return states_table(self.states())

    def run(
        self,
        workers: int | None = None,
        executor: Executor | None = None,
        which: RunFilter | None = None,
        timeout: float | None = None,
    ) -> RunOutcomes:
        """Carry out what is not done yet, with a progress bar, and wait until the last run has ended.

        Args:
            workers: processes on this machine; None: one per GPU, or one per core without one.
            executor: any concurrent.futures.Executor, in place of processes.
            which: which runs; None: all that are not done.
            timeout: seconds a notebook cell may take; a run that takes longer has failed.

        Returns:
            The outcome of each, and the study's runs that failed; a notebook shows both.

        Raises:
            DataError: arms that augment with synonyms, without a synonym table.
        """
        from tqdm.auto import tqdm

        from xtc_study.report.run_states import RunOutcomes, failed_runs

        waiting = 0 if which is not None and which.limit else sum(run.waits for run in self.planned)
        total = len(self.to_do(which)) + waiting
        outcomes = list(tqdm(self.outcomes(workers, executor, which, timeout), total=total, disable=not total))
        return RunOutcomes(outcomes, failed_runs(self.runs.states()))

    def outcomes(
        self,
        workers: int | None = None,
        executor: Executor | None = None,
        which: RunFilter | None = None,
        timeout: float | None = None,
    ) -> Iterator[Outcome]:
        """Carry out what is not done yet, as ``run`` does, and yield each outcome as it comes, those of trials first.

        A run is carried out only when the iteration comes to it (see ``runs.carry_out``). Arguments and errors are
        those of ``run``.
        """
        return carry_out_rounds([self.runs], self.places, self.compute, workers, executor, which, timeout)

    def in_words(self) -> str:
        """Return the arms, what they are compared with, and the claims that the chosen axes leave, as one sentence."""
        return in_words(self.spec, study_at(load_study(self.name), self.profile.name))

    def collect(self) -> pd.DataFrame:
        """Return the tidy frame: one row per run, task, split and metric of every run that is done."""
        from xtc_study.analysis.collect import collect

        return collect(self.places.runs, self.planned)

    def differences(self, frame: pd.DataFrame, reference: str = "") -> dict[str, Difference]:
        """Return each arm minus the reference arm, paired over seeds and examples, mean over tasks.

        An arm whose predictions cannot be used is left out, with a warning that gives the reason.

        Args:
            frame: what ``collect`` gave.
            reference: in place of the study's; ``teacher``: each run's own.
        """
        import warnings

        from xtc_study.analysis.claims import comparisons_of

        name = reference or self.spec.reference
        differences, broken = comparisons_of(self.places.runs, frame, [], name)
        for (arm, _), why in broken.items():
            warnings.warn(f"{arm} is left out. {why}", stacklevel=2)
        return differences[name]

    def command(self, arm: str | None = None) -> str:
        """Return the command that carries out this study, or one arm of it (see ``commands.study_command``)."""
        chosen = {"task": self.tasks, "seed": self.seeds}
        tune = None if self.chosen_tune is None else self.tune
        return study_command(
            self.name, self.profile.name, chosen, self.overrides, self.axes, tune, self.places, self.compute, arm
        )

    def run_commands(self) -> dict[str, str]:
        """Return by run id the papermill call that carries out that run alone."""
        from xtc_study.runs.parameters import read_parameters

        notebook = project_folder() / "notebooks" / "run.ipynb"
        defaults = read_parameters(notebook) if notebook.is_file() else {}
        files = [str(task) for task in self.tasks or () if is_description(task)]
        runs = [run for run in self.planned if not run.waits]
        return {run.run_id: papermill_command(run.recipe, defaults, self.profile.name, files) for run in runs}

    def page(self) -> LazyStudyPage:
        """What the study has to show, each part computed when it is first read: a notebook shows the parts, the report
        writes them as a page."""
        from xtc_study.report.lazy_page import LazyStudyPage, PageSource

        commands = [(arm, self.command(arm)) for arm in self.spec.arm_names]
        choices = self.runs.choices()
        source = PageSource(
            *(self.spec, self.runs.planned(choices), self.places.runs, self.command(), commands, self.profile.notes),
            *(self.tune, choices, self.trials),
        )
        return LazyStudyPage(source)


def run_study(study: str, executor: Executor | None = None, **chosen: Any) -> list[Outcome]:
    """Carry out a study and return the outcome of each run that was not done before.

    Example:
        >>> outcomes = run_study("12_bits", profile="smoke", seeds=[0, 1])

    Args:
        study: its name.
        executor: any concurrent.futures.Executor, say ``Client(cluster).get_executor(pure=False)`` of Dask; None: one
            process per core.
        chosen: profile, places, tasks, seeds and so on, as for ``Study``.
    """
    return list(Study(study, **chosen).outcomes(executor=executor))
