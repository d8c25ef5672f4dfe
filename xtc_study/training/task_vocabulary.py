"""The vocabulary that a task needs, and the tokenizer cut to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from xtc_study.compress.reduction.tokenizer import TokenizerError, cut_tokenizer, task_tokens
from xtc_study.compress.reduction.word_table import VocabularyError, cut_vocabulary
from xtc_study.model_source import ModelError

if TYPE_CHECKING:
    from datasets import Dataset


class TaskVocabulary:
    """The tokens of a task's training text, and single characters to spell any other word with.

    Args:
        name: the recipe's model.
        model: has the model's shape; its weights are not read.
        tokenizer: the full tokenizer.
        rows: tokenised training rows.

    Raises:
        ModelError: the tokenizer or the model cannot be cut; the message gives the reason.
    """

    def __init__(self, name: str, model: Any, tokenizer: Any, rows: Dataset) -> None:
        try:
            self.kept = task_tokens(tokenizer, rows)
            cut_vocabulary(model, self.kept)
            self.tokenizer = cut_tokenizer(tokenizer, self.kept)
        except (TokenizerError, VocabularyError) as error:
            raise ModelError(f"vocabulary='task': model={name!r}: {error}") from error
        self.all = len(tokenizer)

    def record(self, full: Mapping[str, Dataset], cut: Mapping[str, Dataset]) -> dict[str, Any]:
        """Return what metrics.json records: tokens kept, of how many, and rows tokenised differently, by split.

        Args:
            full: the splits, tokenised with the full tokenizer.
            cut: the same splits, tokenised with the cut one.
        """
        respelled = {}
        for split in full:
            pairs = zip(full[split]["input_ids"][:], cut[split]["input_ids"][:], strict=True)
            respelled[split] = sum(before != [self.kept[token] for token in after] for before, after in pairs)
        return {"pieces": len(self.kept), "of": self.all, "rows_spelled_anew": respelled}
