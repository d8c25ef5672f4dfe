"""Registers packed folders with transformers once transformers is imported, without importing it.

Planning and reports start without torch, so ``import xtc_study`` must not import transformers; and transformers has no
plug-in mechanism. wrapt's post-import hooks run code after another module is imported. One hook adds our quantizer to
the list of quantizers; another makes the text classification pipeline cut long texts, which it does not by default.
"""

from __future__ import annotations

from types import ModuleType

from wrapt import register_post_import_hook

LIST_OF_QUANTIZERS = "transformers.quantizers.auto"
PIPELINE = "transformers.pipelines.text_classification"


def register_with_transformers() -> None:
    """Register now for modules that are imported already, and for the others right after their import."""
    register_post_import_hook(_quantizer, LIST_OF_QUANTIZERS)
    register_post_import_hook(_pipeline, PIPELINE)


# The imports are inside because they import torch. Both functions may be called twice: a second call does nothing.


def _quantizer(module: ModuleType) -> None:
    import xtc_study.packed.hf_quantizer  # noqa: F401  (registers itself)


def _pipeline(module: ModuleType) -> None:
    from xtc_study.packed.hf_pipeline import cut_texts

    cut_texts()
