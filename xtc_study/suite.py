"""Several studies of one profile at once: what they share is carried out, and counted, once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING

from xtc_study.runs.carry_out import RunFilter, carry_out
from xtc_study.runs.executors import Outcome
from xtc_study.study import Study

if TYPE_CHECKING:
    from xtc_study.runs.cost import Account


def outcomes_together(
    studies: Sequence[Study],
    workers: int | None = None,
    executor: Executor | None = None,
    which: RunFilter | None = None,
    timeout: float | None = None,
) -> Iterator[Outcome]:
    """Carries out the runs of several studies of one profile, each once, and yields each outcome as it comes.

    Args:
        studies: with the same places, device and precision. The rest as for ``Study.outcomes``.

    Raises:
        ModelError, StudyError: a model that is not there.
        DataError: arms that augment with synonyms, and no table of them.
    """
    which = which or RunFilter()
    recipes = {run.run_id: run.recipe for one in studies for run in one.to_do(which)}
    places, compute = studies[0].places, studies[0].compute
    return carry_out(list(recipes.values()), places, compute, workers, executor, timeout, which.force)


def cost_together(studies: Sequence[Study]) -> Account:
    """Steps and training seconds of several studies of one profile, each alone and all shared."""
    from xtc_study.runs.cost import cost_of

    recipes = {run.run_id: run.recipe for one in studies for run in one.planned}
    return cost_of(list(recipes.values()), studies[0].places, studies[0].compute.device)
