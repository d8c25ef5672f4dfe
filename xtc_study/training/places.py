"""Where a run finds its data and keeps its work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Places:
    """Where things are, and what computes: everything about a run that is not part of its recipe."""

    steps: Path
    """Trained steps are kept here, one folder an address."""
    data_dir: Path | None = None
    """A folder in the GLUE download layout; None loads from the hub."""
    models_dir: Path | None = None
    """A folder that holds models by name; None: local paths and the hub."""
    synonyms: Path | None = None
    """A synonym table for augmentation; None: a generated task's own."""
    task_files: tuple[Path, ...] = ()
    """Descriptions of data sets of your own, one of which is the recipe's task."""
    device: str = "auto"
    precision: str = "auto"
