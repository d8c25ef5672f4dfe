"""Registers packed folders with transformers once transformers is imported, without importing it.

Planning and reports start without torch, so ``import xtc_study`` must not import transformers; and transformers has no
plug-in mechanism. wrapt's post-import hooks run code after another module is imported. One hook adds our quantizer to
the list of quantizers; another makes the text classification pipeline cut long texts, which it does not by default;
two make the static table (``xtc-static``) a model type that transformers' Auto classes know.
"""

from __future__ import annotations

from types import ModuleType

from wrapt import register_post_import_hook

LIST_OF_QUANTIZERS = "transformers.quantizers.auto"
CONFIGS = "transformers.models.auto.configuration_auto"
MODELS = "transformers.models.auto.modeling_auto"
PIPELINE = "transformers.pipelines.text_classification"


def register_with_transformers() -> None:
    """Register now for modules that are imported already, and for the others right after their import."""
    register_post_import_hook(_quantizer, LIST_OF_QUANTIZERS)
    register_post_import_hook(_pipeline, PIPELINE)
    register_post_import_hook(_static_config, CONFIGS)
    register_post_import_hook(_static_model, MODELS)


# The imports are inside because they import torch. Each function may be called twice: a second call does nothing.


def _quantizer(module: ModuleType) -> None:
    import xtc_study.packed.hf_quantizer  # noqa: F401  (registers itself)


def _pipeline(module: ModuleType) -> None:
    from xtc_study.packed.hf_pipeline import cut_texts

    cut_texts()


def _static_config(module: ModuleType) -> None:
    from xtc_study.compress.static.config import MODEL_TYPE, StaticConfig

    module.AutoConfig.register(MODEL_TYPE, StaticConfig, exist_ok=True)


def _static_model(module: ModuleType) -> None:
    from xtc_study.compress.static.config import StaticConfig
    from xtc_study.compress.static.model import StaticForSequenceClassification

    module.AutoModelForSequenceClassification.register(StaticConfig, StaticForSequenceClassification, exist_ok=True)
