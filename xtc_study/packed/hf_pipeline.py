"""Make transformers' ``pipeline("text-classification", folder)`` truncate texts as ``predict`` does.

By default the pipeline does not truncate: a text longer than the model can read raises an error about sizes, and a
text longer than those in training is classified without a warning. No setting in a folder changes that, so ``import
xtc_study`` changes the pipeline's default, only for models from packed folders. The caller's ``truncation`` and
``max_length`` take precedence.
"""

from __future__ import annotations

from functools import wraps
from pathlib import Path
from typing import Any

from xtc_study.packed.checksums import CHECKSUMS


def cut_texts() -> None:
    """Change the default of transformers' pipeline, once."""
    from transformers.pipelines.text_classification import TextClassificationPipeline

    plain = TextClassificationPipeline.preprocess
    if hasattr(plain, "__wrapped__"):
        return

    @wraps(plain)
    def preprocess(self: Any, inputs: Any, **options: Any) -> Any:
        if hasattr(self.model.config, CHECKSUMS):
            options = {"truncation": True, "max_length": _longest(self)} | options
        return plain(self, inputs, **options)

    TextClassificationPipeline.preprocess = preprocess


def _longest(pipeline: Any) -> int:
    from xtc_study.packed.text_length import longest_text

    if not hasattr(pipeline, "_xtc_longest"):
        folder = Path(str(pipeline.model.name_or_path))
        pipeline._xtc_longest = longest_text(folder, pipeline.model, pipeline.tokenizer)
    return int(pipeline._xtc_longest)
