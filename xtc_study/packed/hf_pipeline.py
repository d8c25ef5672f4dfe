"""transformers' ``pipeline("text-classification", folder)`` cuts a packed folder's texts where ``predict`` does.

It hands texts to the tokenizer as they are: one longer than the model reads ends in an error about sizes, and one
longer than was trained is answered without a word. No setting of a folder changes that, so ``import xtc_study`` gives
the pipeline another default, for models from packed folders alone. What the caller sets (``truncation``,
``max_length``) counts before it.
"""

from __future__ import annotations

from functools import wraps
from pathlib import Path
from typing import Any

from xtc_study.packed.checksums import CHECKSUMS


def cut_texts() -> None:
    """Gives transformers' pipeline that default, once."""
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
