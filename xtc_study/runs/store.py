"""Run folders: one a run, written so that a crash at any byte leaves nothing, or a state that can be read.

``params.json`` first; ``claim.json`` while a process works on it; results; ``status.json`` last. Every file is
written beside and renamed into place. A run is done only by its status.json.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from xtc_study.atomic import write_file
from xtc_study.recipe import VERSION, Recipe
from xtc_study.runs.lease import LeaseError, held, take
from xtc_study.runs.records import PREDICTIONS, state_of

LATENCY = "latency.json"
"""Milliseconds of the run's file, measured later by ``xtc-study time``."""
RESULT_FILES = ("metrics.json", PREDICTIONS, "curve.csv", "environment.json", "error.json", "status.json")


class RunFolder:
    """The folder of one recipe's run below ``runs``."""

    def __init__(self, runs: Path, recipe: Recipe) -> None:
        self.recipe = recipe
        self.path = runs / recipe.run_id

    def is_done(self) -> bool:
        """Whether the run is done by ``records.state_of``, as in reports; otherwise it is carried out again."""
        return state_of(self.path).state == "done"

    def acquire(self, again: bool = False, dead: str = "") -> str | None:
        """Takes the run's lease and returns its token; None if it is done or another process has it.

        Results of an attempt before are removed.

        Args:
            again: as for ``lease.take``.
            dead: as for ``lease.take``.

        Raises:
            OSError: the folder cannot be written.
        """
        if self.is_done():
            return None
        self.path.mkdir(parents=True, exist_ok=True)

        lease = take(self.path, again, dead)
        if lease is None:
            return None
        try:
            if self.is_done():  # its holder finished it between our look and our lease
                lease.release()
                return None
            for name in (*RESULT_FILES, LATENCY):
                (self.path / name).unlink(missing_ok=True)
            values = self.recipe.model_dump(mode="json")
            write_json(self.path / "params.json", {"version": VERSION, "run_id": self.recipe.run_id, "recipe": values})
        except BaseException:
            lease.release()
            raise
        return lease.token

    def reopen(self) -> None:
        """Removes the status, so that the run is carried out again. Its steps stay trained."""
        (self.path / "status.json").unlink(missing_ok=True)

    def write_results(
        self,
        metrics: Mapping[str, Any],
        predictions: pd.DataFrame,
        curve: list[dict[str, Any]],
        environment: Mapping[str, Any],
    ) -> None:
        """Writes all results of a finished run; the status is not part of them."""
        write_json(self.path / "metrics.json", metrics)
        write_json(self.path / "environment.json", environment)
        columns = ["phase", "stage", "step", "term", "value"]
        write_file(self.path / "curve.csv", pd.DataFrame(curve, columns=columns).to_csv(index=False), to_disk=True)
        write_file(self.path / PREDICTIONS, predictions.to_parquet(index=False), to_disk=True)

    def finish(self, state: str, started: str, duration_s: float, error: Mapping[str, Any] | None = None) -> None:
        """Writes error.json where there is one, then status.json, then gives the lease up.

        Raises:
            LeaseError: another machine took the run over meanwhile; nothing is written.
            OSError: the folder cannot be written.
        """
        lease = held(self.path)
        try:
            if lease is not None and not lease.is_ours():
                raise LeaseError(f"run {self.path.name}: another machine took it over; what it writes counts")
            if error is not None:
                write_json(self.path / "error.json", error)
            status = {"state": state, "started": started, "ended": now(), "duration_s": round(duration_s, 3)}
            write_json(self.path / "status.json", status)
        finally:
            if lease is not None:
                lease.release()


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """JSON with sorted keys, on the disk before it takes the old file's place."""
    write_file(path, json.dumps(values, indent=1, sort_keys=True, allow_nan=False) + "\n", to_disk=True)
