"""XTC Study: extreme compression of pre-trained transformers, studied in notebooks and stored in small files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xtc_study._version import __version__
from xtc_study.registration import register_with_transformers

__all__ = ["__version__", "load"]

register_with_transformers()


def load(folder: str | Path, engine: str = "auto") -> Any:
    """Load the model of a packed folder, ready to predict; see ``xtc_study.packed.loading.load``."""
    # Imported here so that planning and reports start without torch.
    from xtc_study.packed.loading import load as load_packed

    return load_packed(folder, engine)
