"""Makes packed folders known to transformers as soon as transformers can be told, without importing it.

Planning and reports start without torch, so ``import xtc_study`` must not import transformers; and transformers looks
for no plug-ins. What remains is Python's own way to learn of an import, which wrapt offers as post-import hooks: one
waits for the module that keeps the list of quantizers and adds ours, another one for the pipeline that classifies
texts, which does not cut them unless told to.
"""

from __future__ import annotations

from types import ModuleType

from wrapt import register_post_import_hook

LIST_OF_QUANTIZERS = "transformers.quantizers.auto"
PIPELINE = "transformers.pipelines.text_classification"


def register_with_transformers() -> None:
    """Now what transformers has imported already, and the rest right after it is imported."""
    register_post_import_hook(_quantizer, LIST_OF_QUANTIZERS)
    register_post_import_hook(_pipeline, PIPELINE)


# Imported inside, for they import torch. Both may be called twice: each looks whether its work is done.


def _quantizer(module: ModuleType) -> None:
    import xtc_study.packed.hf_quantizer  # noqa: F401  (registers itself)


def _pipeline(module: ModuleType) -> None:
    from xtc_study.packed.hf_pipeline import cut_texts

    cut_texts()
