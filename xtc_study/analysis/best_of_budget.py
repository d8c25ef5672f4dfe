"""The best arm of each budget of bytes on one task, with what the choice among many arms added to its score.

Intervals are those of ``analysis.stats`` for the chosen arms, moved down by the optimism of the choice
(``analysis.optimism``): a bootstrap over examples, and Student's t over the arms' own seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from xtc_study.analysis.chance import chance
from xtc_study.analysis.compare import one_split
from xtc_study.analysis.equal_bytes import BUDGETS_MB, SizedArm, best_of, competing, fitting, sized_arms
from xtc_study.analysis.optimism import ChoiceDraws
from xtc_study.analysis.stats import FEW_SEEDS, MIN_SEEDS, Difference, PairedSample, macro_difference
from xtc_study.analysis.teachers import teachers_score, teachers_size
from xtc_study.analysis.weighted import Array
from xtc_study.runs.records import RunFileError

NAN = float("nan")


@dataclass(frozen=True)
class Best:
    """The best arm of one budget. Scores in the metric's scale."""

    budget_mb: float
    arm: SizedArm
    chosen_from: int
    """How many arms fit into the budget."""
    members: tuple[int, ...]
    """Their positions among the task's arms."""
    optimism: float
    """What the choice added to the score, on average; NaN without predictions."""
    low: float
    """The ends of the interval less the optimism; NaN without predictions, and with fewer than ``FEW_SEEDS`` seeds of
    an arm that seeds change."""
    high: float


@dataclass(frozen=True)
class Gain:
    """One best arm minus another, over the seeds that both have done."""

    best: Best
    reference: Best
    mean: float
    optimism: float
    """What the two choices added to it, on average; NaN without predictions."""
    low: float
    """The ends of the interval less the optimism; NaN without predictions or with fewer than ``MIN_SEEDS`` seeds."""
    high: float
    detectable: float
    """The smallest true difference that would be detected in about 80 % of cases; infinite if none could be."""


class TaskBudgets:
    """The arms of one task and split, and the best of them within each budget.

    Args:
        arms: ``equal_bytes.sized_arms`` of the task and split.
        rows: the rows of the tidy frame that they come from.
        runs_folder: contains the run folders; None: scores alone are known, so there is no interval.
        budgets_mb: budgets in MB of 10^6 bytes, in any order.

    Raises:
        ValueError: a budget is no positive number.
    """

    def __init__(
        self,
        arms: Sequence[SizedArm],
        rows: pd.DataFrame,
        runs_folder: Path | None,
        budgets_mb: Sequence[float] = BUDGETS_MB,
    ) -> None:
        if isinstance(budgets_mb, str) or not len(budgets_mb):
            raise ValueError(f"budgets_mb: {budgets_mb!r}; expected a list of numbers of MB, such as [0.5, 4]")
        for budget in budgets_mb:
            if isinstance(budget, bool) or not isinstance(budget, int | float) or not budget > 0:
                raise ValueError(f"budgets_mb: {budget!r} is no budget; expected a positive number of MB, such as 0.5")
        self.arms = competing(arms)
        self.left_out = len(arms) - len(self.arms)
        """Arms with fewer than ``MIN_SEEDS`` seeds."""
        self.task, self.split, self.metric = arms[0].task, arms[0].split, arms[0].metric
        self.budgets_mb = sorted(set(budgets_mb))
        self._rows, self._runs_folder = rows, runs_folder
        # One arm may win several budgets: what was drawn for it is kept.
        self._intervals: dict[int, tuple[float, float]] = {}
        self._differences: dict[tuple[int, int], Difference | None] = {}

    # What stands beside the arms.

    @property
    def teacher(self) -> float:
        """Mean score of the fp32 teachers, those of the whole encoder where there are any."""
        return teachers_score(self._of_teacher)

    @property
    def teacher_bytes(self) -> float:
        return teachers_size(self._of_teacher)

    @property
    def _of_teacher(self) -> pd.DataFrame:
        """Rows of the encoder that most runs have: a mean of several encoders' teachers would be no model's."""
        rows: pd.DataFrame = self._rows[self._rows["model"] == self._rows["model"].mode().iloc[0]]
        whole: pd.DataFrame = rows[rows["teacher_layers"] == "all"]
        return whole if len(whole) else rows

    @property
    def majority(self) -> float:
        """The score of the best constant answer; NaN without predictions, which have the labels."""
        return NAN if self._labels is None else chance(self.metric, self._labels)

    # Choices.

    def best(self, wanted: Callable[[SizedArm], bool] = lambda _: True) -> list[Best]:
        """Return the best wanted arm of each budget, the smallest budget first. A budget that no arm fits has none."""
        found = []
        for budget in self.budgets_mb:
            within = fitting(self.arms, budget)
            members = tuple(at for at, arm in enumerate(self.arms) if arm in within and wanted(arm))
            chosen = best_of([self.arms[at] for at in members])
            if chosen is not None:
                optimism = self._optimism(chosen, members)
                at = self.arms.index(chosen)
                if at not in self._intervals:
                    self._intervals[at] = self._interval(chosen)
                low, high = self._intervals[at]
                found.append(Best(budget, chosen, len(members), members, optimism, low - optimism, high - optimism))
        return found

    def gain(self, best: Best, reference: Best) -> Gain:
        """Return what one best arm scores above another."""
        optimism = best.optimism - reference.optimism
        pair = self.arms.index(best.arm), self.arms.index(reference.arm)
        if pair not in self._differences:
            sample = self._paired(best.arm, reference.arm)
            self._differences[pair] = macro_difference([sample]) if sample else None
        difference = self._differences[pair]
        if difference is None:
            return Gain(best, reference, best.arm.score - reference.arm.score, optimism, NAN, NAN, NAN)
        low, high, least = difference.low, difference.high, difference.detectable
        if difference.n_seeds < MIN_SEEDS:
            low = high = least = NAN
        return Gain(best, reference, difference.mean, optimism, low - optimism, high - optimism, least)

    @property
    def unreadable(self) -> int:
        """How many arms have no predictions that can be used."""
        return sum(predicted is None for predicted in self._predictions)

    # Predictions.

    @cached_property
    def _read(self) -> tuple[Array | None, list[Array | None]]:
        """Labels (examples,), and of each arm its predictions (seeds, examples), None where they cannot be used."""
        files = [self._files(arm) for arm in self.arms]
        first = next((of_arm[0] for of_arm in files if of_arm), None)
        if first is None:
            return None, [None] * len(files)
        rows = first[["idx", "label"]]
        predicted: list[Array | None] = []
        for of_arm in files:
            usable = bool(of_arm) and all(file[["idx", "label"]].equals(rows) for file in of_arm)
            predicted.append(np.stack([one["prediction"].to_numpy(np.float64) for one in of_arm]) if usable else None)
        return first["label"].to_numpy(np.float64), predicted

    def _files(self, arm: SizedArm) -> list[pd.DataFrame]:
        if self._runs_folder is None:
            return []
        try:
            return [one_split(self._runs_folder, run_id, self.split) for run_id in arm.runs.values()]
        except RunFileError:
            return []

    @property
    def _labels(self) -> Array | None:
        return self._read[0]

    @property
    def _predictions(self) -> list[Array | None]:
        return self._read[1]

    @cached_property
    def _draws(self) -> tuple[ChoiceDraws, dict[int, int]] | None:
        """The draws, and by position among the arms the position in the draws; None without predictions."""
        there = [(at, values) for at, values in enumerate(self._predictions) if values is not None]
        if self._labels is None or not there:
            return None
        seedless = [self.arms[at].static for at, _ in there]
        draws = ChoiceDraws(self.metric, self._labels, [values for _, values in there], seedless)
        return draws, {at: place for place, (at, _) in enumerate(there)}

    def _optimism(self, chosen: SizedArm, members: Sequence[int]) -> float:
        if self._draws is None or self._of(chosen) is None:
            return NAN
        draws, places = self._draws
        return draws.optimism([places[at] for at in members if at in places])

    def _of(self, arm: SizedArm) -> Array | None:
        return self._predictions[self.arms.index(arm)]

    def _interval(self, arm: SizedArm) -> tuple[float, float]:
        """Return the arm's own interval: its difference to a reference that is always wrong, and so scores 0."""
        predicted = self._of(arm)
        if self._labels is None or predicted is None or (arm.seeds < FEW_SEEDS and not arm.static):
            return NAN, NAN
        wrong = np.full_like(predicted, 0.0 if self.metric == "f1" else -1.0)  # f1 knows 0 and 1 alone
        found = macro_difference([PairedSample(arm.task, self.metric, self._labels, predicted, wrong)])
        return found.low, found.high

    def _paired(self, arm: SizedArm, reference: SizedArm) -> PairedSample | None:
        """Return the predictions of both for the same seeds. A static table is the same for every seed."""
        of_arm, of_reference = self._of(arm), self._of(reference)
        if self._labels is None or of_arm is None or of_reference is None:
            return None
        trained = [set(one.runs) for one in (arm, reference) if not one.static]
        # Of two tables there are no seeds: two equal rows have a spread of 0, where one row has an unknown one.
        seeds = sorted(set.intersection(*trained)) if trained else [0, 0]
        if not seeds:
            return None
        return PairedSample(
            arm.task,
            self.metric,
            self._labels,
            _of_seeds(arm, of_arm, seeds),
            _of_seeds(reference, of_reference, seeds),
            same_training=bool(trained) and arm.training == reference.training,
        )


def _of_seeds(arm: SizedArm, predicted: Array, seeds: Sequence[int]) -> Array:
    """Return the arm's predictions of these seeds, (seeds, examples)."""
    if arm.static:
        return np.repeat(predicted[:1], len(seeds), axis=0)
    return predicted[[list(arm.runs).index(seed) for seed in seeds]]


def task_budgets(
    frame: pd.DataFrame, runs_folder: Path | None, budgets_mb: Sequence[float] = BUDGETS_MB
) -> list[TaskBudgets]:
    """Return the choices of each task and split, in order of appearance.

    Args:
        frame: rows of ``analysis.collect.collect``, of any studies.
        runs_folder: as for ``TaskBudgets``.
        budgets_mb: as for ``TaskBudgets``.
    """
    primary = frame[frame["is_primary"]]
    return [
        TaskBudgets(arms, primary[(primary["task"] == task) & (primary["split"] == split)], runs_folder, budgets_mb)
        for (task, split), arms in sized_arms(frame).items()
    ]


def with_encoder(arm: SizedArm) -> bool:
    return not arm.static


def without_encoder(arm: SizedArm) -> bool:
    return arm.static
