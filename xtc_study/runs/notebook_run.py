"""A run as seen from its notebook, started by ``xtc-study run``, by papermill, or by hand in JupyterLab."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from xtc_study.recipe import Recipe
from xtc_study.runs.environment import environment, oldest_method
from xtc_study.runs.lease import LeaseError, holder, watch
from xtc_study.runs.store import RunFolder, now


class NotebookRun:
    """Takes the recipe's run folder, unless the caller holds it, and records the results in it.

    Args:
        results: the results folder of a profile.
        recipe: of the run.
        token: of the lease that ``xtc-study run`` took, passed as the notebook's parameter ``claim``; empty by hand.

    Raises:
        LeaseError: another process holds this run. If it is on another machine, its heartbeat is watched first, for at
            most 90 seconds.
    """

    def __init__(self, results: Path, recipe: Recipe, token: str = "") -> None:
        self.folder = RunFolder(results / "runs", recipe)
        self.token, self.by_hand = token, not token
        self.started, self._clock = now(), time.monotonic()
        self.done_before = self.by_hand and self.folder.is_done()

        if self.by_hand and not self.done_before:
            watch([self.path])
            self.token = self.folder.acquire(again=True) or ""
            if not self.token:
                raise LeaseError(f"run {recipe.run_id}: another process is carrying it out; wait for it or stop it")
        self._check()

    @property
    def path(self) -> Path:
        return self.folder.path

    def model_folder(self) -> Path:
        """Return the folder for the packed file: the run's ``model``, or a temporary one if the run was done before.

        Raises:
            LeaseError: another process took the run over in the meantime.
        """
        self._check()
        if not self.done_before:
            return self.path / "model"
        self._workdir = TemporaryDirectory(prefix="xtc-")  # removed together with this object
        return Path(self._workdir.name) / "model"

    def record(
        self,
        metrics: Mapping[str, Any],
        predictions: pd.DataFrame,
        curve: list[dict[str, Any]],
        device: str,
        precision: str,
    ) -> Path:
        """Write the results. By hand also write the status, which ``xtc-study run`` writes after saving the notebook.

        A run that was done before is left unchanged.

        Args:
            metrics: for metrics.json.
            predictions: of every example of the dev splits.
            curve: losses of the training steps.
            device: as resolved for this machine.
            precision: as resolved for this machine.

        Returns:
            The run's folder.

        Raises:
            LeaseError: another process took the run over in the meantime.
        """
        if not self.done_before:
            self._check()  # our caller may have died and another process taken over
            method = oldest_method(self.path.parents[1] / "steps", metrics.get("steps", ()))
            self.folder.write_results(metrics, predictions, curve, environment(device, precision, method))
            if self.by_hand:
                self.folder.finish("done", self.started, time.monotonic() - self._clock)
                self.done_before = True  # in case the cell is rerun
        return self.path

    def _check(self) -> None:
        if not self.done_before and holder(self.path).get("token") != self.token:
            origin = "of this notebook" if self.by_hand else "passed as 'claim'"
            raise LeaseError(
                f"run {self.path.name}: the lease {origin} is not the one in its folder; another process took the run "
                "over: wait for it or stop it"
            )
