"""A run as its notebook sees it: started by ``xtc-study run``, by papermill or by hand in JupyterLab."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from xtc_study.recipe import Recipe
from xtc_study.runs.claims import holder
from xtc_study.runs.environment import environment
from xtc_study.runs.store import RunFolder, now


class ClaimError(RuntimeError):
    """Somebody else is carrying out this run."""


class NotebookRun:
    """Claims the recipe's run folder, unless the caller did, and records the results in it.

    Args:
        results: the results folder of a profile. claim: the token ``xtc-study run`` passes on; empty by hand.

    Raises:
        ClaimError: another process is at this run.
    """

    def __init__(self, results: Path, recipe: Recipe, claim: str = "") -> None:
        self.folder = RunFolder(results / "runs", recipe)
        self.claim, self.by_hand = claim, not claim
        self.started, self._clock = now(), time.monotonic()
        if self.by_hand:
            self.done_before = self.folder.is_done()
            if not self.done_before and self.folder.claim(again=True) is None:
                raise ClaimError(f"run {recipe.run_id}: another process is at it; wait, or stop that process")
        else:
            self.done_before = False
            self._check(claim)

    @property
    def path(self) -> Path:
        return self.folder.path

    def record(
        self,
        metrics: Mapping[str, Any],
        predictions: pd.DataFrame,
        curve: list[dict[str, Any]],
        device: str,
        precision: str,
    ) -> Path:
        """Writes the results; by hand also the status, which otherwise comes once the notebook itself is saved.

        A run that was done before is left as it is.
        """
        if not self.done_before:
            if not self.by_hand:
                self._check(self.claim)  # our caller may have died, and somebody else taken over
            self.folder.write_results(metrics, predictions, curve, environment(device, precision))
            if self.by_hand:
                self.folder.finish("done", self.started, time.monotonic() - self._clock)
        return self.path

    def _check(self, claim: str) -> None:
        if holder(self.path).get("token") != claim:
            raise ClaimError(f"run {self.path.name}: the claim passed on is not the one in its folder")
