"""One study at one scale: planned, run, collected, answered. What the notebooks and the command line share."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xtc_study.nearest import did_you_mean
from xtc_study.places import optional_file, optional_folder, project_folder, results_folder
from xtc_study.profiles import load_profile
from xtc_study.studies import PlannedRun, StudyError, in_words, load_study, plan, study_at
from xtc_study.tasks.catalogue import chosen_tasks, find_task
from xtc_study.tasks.user.description import is_description
from xtc_study.values import DEVICES, PRECISIONS, listed, named, one_of, points_text, setting_text

if TYPE_CHECKING:
    import pandas as pd

    from xtc_study.analysis.best_points import Best
    from xtc_study.analysis.claims import Answer
    from xtc_study.analysis.stats import Claim, Difference
    from xtc_study.recipe import Recipe
    from xtc_study.report.study import StudyPage
    from xtc_study.runs.cost import Cost
    from xtc_study.runs.step_times import StepTimes


class Ablation:
    """A study at a profile's scale, with its runs planned and checked.

    Args:
        tasks, seeds, overrides: in place of the profile's; a task is a name or the path of a description of your own
            data (``tasks/user/description.py``); overrides are recipe fields set for every arm.
        axes: the points to keep of some of the study's axes, or others (see ``arms.chosen_axes``).
        results_dir: in place of results/<profile>. data_dir: GLUE in its download layout; None: the hub.
        models_dir: models by name; None: local paths and the hub.
        synonyms: a synonym table, for arms with augmentation; None: a generated task's own.

    Raises:
        ValueError: an unknown study, profile, task, field or value, a missing folder. Before anything is written.
    """

    def __init__(
        self,
        study: str,
        profile: str = "smoke",
        tasks: Sequence[str | Path] | None = None,
        seeds: Sequence[int] | None = None,
        overrides: Mapping[str, Any] | None = None,
        results_dir: str | Path | None = None,
        data_dir: str | Path | None = None,
        models_dir: str | Path | None = None,
        synonyms: str | Path | None = None,
        device: str = "auto",
        precision: str = "auto",
        axes: Mapping[str, Sequence[Any]] | None = None,
    ) -> None:
        self.profile = load_profile(profile)
        self.axes = named("axes", axes, {"weights": ["1-bit"]})
        self.study = study_at(load_study(study), profile, self.axes)
        self.tasks = listed("tasks", tasks, ["cola", "rte"])
        self.seeds = listed("seeds", seeds, [0, 1, 2])
        self.results = results_folder(profile, results_dir)
        self.data_dir = optional_folder(data_dir, "data_dir")
        self.models_dir = optional_folder(models_dir, "models_dir")
        self.synonyms = optional_file(synonyms, "synonyms")
        self.device = one_of("device", device, DEVICES)
        self.precision = one_of("precision", precision, PRECISIONS)
        self.overrides = named("fields", overrides, {"epochs": 2})
        names, self.task_files = (None, []) if self.tasks is None else chosen_tasks(self.tasks)
        self.planned: list[PlannedRun] = plan(
            load_study(study), self.profile, names, self.seeds, self.overrides, self.axes, self._model_folders()
        )
        for task in {run.recipe.task for run in self.planned}:
            find_task(task, self.task_files)

    def _model_folders(self) -> dict[str, str]:
        """Absolute paths of the models chosen as folders: runs are carried out in another folder than this one."""
        chosen = [self.overrides.get("model"), self.overrides.get("start"), *itertools.chain(*self.axes.values())]
        roles = ("", "teacher", "pretrained")  # no folder, though "" would be the current one
        names = [name for name in chosen if isinstance(name, str) and name.strip() not in roles]
        named = [name for name in names if self.models_dir is not None and (self.models_dir / name).is_dir()]
        paths = {name: Path(name).expanduser() for name in names if name not in named}
        return {name: str(path.absolute()) for name, path in paths.items() if path.is_dir()}

    def check_models(self, recipes: Sequence[Recipe] | None = None) -> list[str]:
        """That the models are there. Only runs need them; what is done can be read without.

        Args:
            recipes: of the runs that need them; None: of all that are planned.

        Returns:
            One sentence for each model of the hub of which it cannot be told here (see ``available.check_models``).

        Raises:
            ModelError: no such folder, or no such model.
        """
        from xtc_study.model_check import check_models

        planned = [run.recipe for run in self.planned] if recipes is None else recipes
        return check_models(planned, self.models_dir)

    @property
    def runs_folder(self) -> Path:
        return self.results / "runs"

    def cost(self) -> Cost:
        """Steps and training seconds of the study, alone and shared, and what is still to do."""
        from xtc_study.suite import cost_of

        return cost_of([self])

    def power(self) -> str:
        """The difference that the planned seeds can see, and how many seeds 5, 2 and 1 points need, in a sentence.

        From the runs that are done, where two seeds of an arm are; else from what is usual. Empty where the size of a
        dev split is not known either.
        """
        from xtc_study.analysis.collect import RunFileError
        from xtc_study.analysis.compare import differences
        from xtc_study.analysis.power import RESAMPLES, measured_spread, power_text, usual_spread

        seeds = len({run.recipe.seed for run in self.planned})
        frame = self.collect()
        try:
            found = differences(self.runs_folder, frame, self.study.reference, resamples=RESAMPLES)
            measured = measured_spread(frame, found)
        except RunFileError:  # the report says which file
            measured = None
        if measured is not None:
            return power_text(measured, seeds)
        tasks = {name: find_task(name, self.task_files) for name in {run.recipe.task for run in self.planned}}
        rows = {f"{name} {split}": task.dev_rows for name, task in tasks.items() for split in task.eval_splits}
        known = {name: count for name, count in rows.items() if count is not None}
        return power_text(usual_spread(known), seeds) if len(known) == len(rows) else ""

    def step_times(self) -> StepTimes | None:
        """Measured training steps of the study's model (``xtc-study plan --measure``), if there are any."""
        from xtc_study.runs.step_times import read_step_times

        return read_step_times(self.results, self.planned[0].recipe.model)

    def states(self) -> pd.DataFrame:
        """Where each planned run stands: run_id, arm, task, seed, state, error."""
        from xtc_study.analysis.collect import states

        return states(self.runs_folder, self.planned)

    def to_do(
        self,
        only_failed: bool = False,
        limit: int | None = None,
        force: bool = False,
        arms: Sequence[str] | None = None,
    ) -> list[PlannedRun]:
        """The runs that ``run`` would carry out, each once.

        Args:
            only_failed: leave out what was never tried. limit: the first so many. force: also what is done.
            arms: only these, by name; None: all.

        Raises:
            StudyError: an arm the study does not have.
        """
        for arm in arms or ():
            if arm not in self.study.arm_names:
                has = ", ".join(map(repr, self.study.arm_names)) + did_you_mean(arm, self.study.arm_names)
                raise StudyError(f"arm={arm!r}: study {self.study.name} has {has}")
        states = dict(self.states()[["run_id", "state"]].itertuples(index=False, name=None))
        wanted = {"failed", "corrupt"} if only_failed else {"failed", "corrupt", "missing", "running"}
        wanted |= {"done"} if force else set()
        runs = {
            run.run_id: run for run in self.planned if states[run.run_id] in wanted and (not arms or run.arm in arms)
        }
        return list(runs.values())[:limit]

    def run(
        self,
        workers: int | None = None,
        executor: Executor | None = None,
        only_failed: bool = False,
        limit: int | None = None,
        force: bool = False,
        timeout: float | None = None,
        arms: Sequence[str] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Carries out what is not done yet and yields each outcome as it comes (see ``runs.executors``).

        Args:
            workers: processes on this machine; None: one a core.
            executor: any concurrent.futures.Executor, in place of processes.
            only_failed, limit, force, arms: which runs (see ``to_do``).
            timeout: seconds a notebook cell may take; a run that takes longer has failed.

        Raises:
            DataError: arms that augment with synonyms, and no table of them.
        """
        from xtc_study.suite import run_together

        return run_together([self], workers, executor, only_failed, limit, force, timeout, arms)

    def in_words(self) -> str:
        """The arms, what they are compared with, and the claims that the chosen axes leave, as one sentence."""
        return in_words(self.study, study_at(load_study(self.study.name), self.profile.name))

    def collect(self) -> pd.DataFrame:
        """The tidy frame: one row per run, task, split and metric of every run that is done."""
        from xtc_study.analysis.collect import collect

        return collect(self.runs_folder, self.planned)

    def differences(self, frame: pd.DataFrame, reference: str = "") -> dict[str, Difference]:
        """Each arm minus the reference arm, paired over seeds and examples, mean over tasks.

        An arm whose predictions cannot be used is left out, with a warning that says why.

        Args:
            reference: in place of the study's; ``teacher``: each run's own.
        """
        import warnings

        from xtc_study.analysis.claims import comparisons_of

        name = reference or self.study.reference
        found, broken = comparisons_of(self.runs_folder, frame, [], name)
        for (arm, _), why in broken.items():
            warnings.warn(f"{arm} is left out. {why}", stacklevel=2)
        return found[name]

    def claims(self) -> list[tuple[str, Claim]]:
        """Each claim as a sentence and the same in numbers."""
        from xtc_study.analysis.stats import Claim

        return [(one.sentence, Claim(one.kind, one.arm, one.reference, one.margin)) for one in self.study.claims]

    def answers(self, frame: pd.DataFrame) -> list[Answer]:
        """The study's claims put to the test, as one family.

        Args:
            frame: what ``collect`` gave.
        """
        from xtc_study.analysis.claims import answers, comparisons_of

        claims = self.claims()
        if frame.empty:
            return answers(claims, {}, nothing_done=True)
        return answers(claims, *comparisons_of(self.runs_folder, frame, claims))

    def best_points(self, frame: pd.DataFrame, axis: str) -> list[Best]:
        """The best point of an axis for each combination of the others, and whether it lies at the grid's end."""
        from xtc_study.analysis.best_points import best_points

        return best_points(frame, self.study.arms, axis)

    def command(self, arm: str | None = None) -> str:
        """What to type to carry out this study as chosen, or one arm of it. Places get names: others read this."""
        words = ["xtc-study", "run", self.study.name, "--profile", self.profile.name]
        for task in self.tasks or ():
            words += ["--task", str(task)]
        for seed in self.seeds or ():
            words += ["--seed", str(seed)]
        for field, value in self.overrides.items():
            words += ["--set", setting_text(field, value)]
        for axis, points in self.axes.items():
            words += ["--axis", points_text(axis, points)]
        for option, shown, given in (
            ("--data-dir", "GLUE_FOLDER", self.data_dir),
            ("--models-dir", "MODELS_FOLDER", self.models_dir),
            ("--synonyms", "SYNONYMS_FILE", self.synonyms),
            ("--results", "RESULTS_FOLDER", self.results != results_folder(self.profile.name)),
            ("--device", self.device, self.device != "auto"),
            ("--precision", self.precision, self.precision != "auto"),
        ):
            words += [option, shown] if given else []
        if arm:
            words += ["--arm", arm]
        return shlex.join(words)

    def run_commands(self) -> dict[str, str]:
        """By run id, the papermill call that carries out that run alone."""
        from xtc_study.commands import papermill_command
        from xtc_study.runs.parameters import read_parameters

        notebook = project_folder() / "notebooks" / "run.ipynb"
        defaults = read_parameters(notebook) if notebook.is_file() else {}
        files = [str(task) for task in self.tasks or () if is_description(task)]
        return {run.run_id: papermill_command(run.recipe, defaults, self.profile.name, files) for run in self.planned}

    def page(self) -> StudyPage:
        """The study's section of the report."""
        from xtc_study.analysis.chance import chance_by_task
        from xtc_study.report.study import study_page

        return study_page(
            name=self.study.name,
            title=self.study.title,
            question=self.study.question,
            reference=self.study.reference,
            claims=self.claims(),
            planned=self.planned,
            runs_folder=self.runs_folder,
            run_command=self.command(),
            commands=[(arm, self.command(arm)) for arm in self.study.arm_names],
            limits=[*self.study.limits, *self.profile.notes],
            chance=chance_by_task(self.runs_folder, self.collect()),
            arms=self.study.arms,
            sources=[one.source for one in self.study.claims],
        )


def run_study(study: str, executor: Executor | None = None, **chosen: Any) -> list[dict[str, Any]]:
    """Carries out a study and returns the outcome of each run that was not done before.

    Args:
        executor: any concurrent.futures.Executor, say ``Client(cluster).get_executor(pure=False)`` of Dask; None: one
            process a core.
        chosen: profile, tasks, seeds and so on, as for ``Ablation``.
    """
    return list(Ablation(study, **chosen).run(executor=executor))
