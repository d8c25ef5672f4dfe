"""XTC Study: the extreme compression of pre-trained transformers, in notebooks and in small files.

The public names are imported when they are first used, so that planning and reports start without torch:

- ``Study``, ``run_study``: a study at a scale, and its runs;
- ``Recipe``, ``Pipeline``: what one run is, and its training;
- ``load``: the model of a packed folder.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from xtc_study._version import __version__
from xtc_study.registration import register_with_transformers

if TYPE_CHECKING:
    from xtc_study.packed.loading import load
    from xtc_study.recipe import Recipe
    from xtc_study.study import Study, run_study
    from xtc_study.training.pipeline import Pipeline

__all__ = ["Pipeline", "Recipe", "Study", "__version__", "load", "run_study"]

_HOME = {
    "Pipeline": "xtc_study.training.pipeline",
    "Recipe": "xtc_study.recipe",
    "Study": "xtc_study.study",
    "load": "xtc_study.packed.loading",
    "run_study": "xtc_study.study",
}
"""Public name to the module that defines it."""

register_with_transformers()


def __getattr__(name: str) -> Any:
    """Import a public name at its first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'xtc_study' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
