"""XTC Study: the extreme compression of pre-trained transformers, in notebooks and in small files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def load(folder: str | Path) -> Any:
    """The model of a packed folder, ready to predict; see ``xtc_study.deploy.checkpoint.load``."""
    # Imported here so that planning and reports start without torch.
    from xtc_study.deploy.checkpoint import load as load_checkpoint

    return load_checkpoint(folder)
