"""Run folders, one per run, written so that a crash at any moment leaves a readable state.

The order is ``params.json``, results, ``status.json``; ``claim.json`` exists while a process works on the run. Every
file is written under a temporary name and renamed into place. Only its status.json makes a run done.
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
    """The folder of one recipe's run, inside ``runs``."""

    def __init__(self, runs: Path, recipe: Recipe) -> None:
        self.recipe = recipe
        self.path = runs / recipe.run_id

    def is_done(self) -> bool:
        """Return whether the run is done by ``records.state_of``, as in reports; otherwise it is carried out again."""
        return state_of(self.path).state == "done"

    def acquire(self, again: bool = False, dead: str = "") -> str | None:
        """Take the run's lease and return its token; None if the run is done or another process holds it.

        Results of an earlier attempt are removed.

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
            if self.is_done():  # its holder finished it just before we took the lease
                lease.release()
                return None

            # A new attempt begins with params.json alone.
            for name in (*RESULT_FILES, LATENCY):
                (self.path / name).unlink(missing_ok=True)
            values = self.recipe.model_dump(mode="json")
            write_json(self.path / "params.json", {"version": VERSION, "run_id": self.recipe.run_id, "recipe": values})
        except BaseException:
            lease.release()
            raise
        return lease.token

    def reopen(self) -> None:
        """Remove the status, so that the run is carried out again. Its trained steps are kept."""
        (self.path / "status.json").unlink(missing_ok=True)

    def write_results(
        self,
        metrics: Mapping[str, Any],
        predictions: pd.DataFrame,
        curve: list[dict[str, Any]],
        environment: Mapping[str, Any],
    ) -> None:
        """Write all results of a run, but not its status."""
        write_json(self.path / "metrics.json", metrics)
        write_json(self.path / "environment.json", environment)
        columns = ["phase", "stage", "step", "term", "value"]
        write_file(self.path / "curve.csv", pd.DataFrame(curve, columns=columns).to_csv(index=False), to_disk=True)
        write_file(self.path / PREDICTIONS, predictions.to_parquet(index=False), to_disk=True)

    def finish(self, state: str, started: str, duration_s: float, error: Mapping[str, Any] | None = None) -> None:
        """Write error.json if there is an error, then status.json, and release the lease.

        Args:
            state: done or failed.
            started: UTC, ISO 8601.
            duration_s: seconds.
            error: content of error.json.

        Raises:
            LeaseError: another machine took the run over in the meantime; nothing is written.
            OSError: the folder cannot be written.
        """
        lease = held(self.path)
        try:
            if lease is not None and not lease.is_ours():
                raise LeaseError(
                    f"run {self.path.name}: another machine took it over; its results count, nothing is written here"
                )
            if error is not None:
                write_json(self.path / "error.json", error)
            status = {"state": state, "started": started, "ended": now(), "duration_s": round(duration_s, 3)}
            write_json(self.path / "status.json", status)
        finally:
            if lease is not None:
                lease.release()


def now() -> str:
    """Return the time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write JSON with sorted keys; it is on the disk before it replaces the old file."""
    write_file(path, json.dumps(values, indent=1, sort_keys=True, allow_nan=False) + "\n", to_disk=True)
