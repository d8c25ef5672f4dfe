"""What became of a run that a runner handed to an executor."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

Outcome = dict[str, Any]
"""Keys: run_id, state (done, failed, or elsewhere: another runner carried it out), seconds, error."""


def outcome_of(future: Future[Outcome], run_id: str) -> Outcome:
    """Return the outcome that a future brings; an error outside the run counts as the run's failure."""
    error = future.exception()
    return failure(run_id, type(error).__name__, str(error)) if error is not None else future.result()


def failure(run_id: str, kind: str, message: str) -> Outcome:
    """Return the outcome of a run that failed before or outside its notebook."""
    return {
        "run_id": run_id,
        "state": "failed",
        "seconds": 0.0,
        "error": {"type": kind, "message": message, "cell": None},
    }
