"""The vocabulary a task needs, and a student with its tokenizer and rows cut to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from xtc_study.compress.reduction.tokenizer import TokenizerError, cut_tokenizer, task_tokens
from xtc_study.compress.reduction.word_table import VocabularyError, cut_vocabulary
from xtc_study.model_source import ModelError

if TYPE_CHECKING:
    from datasets import Dataset


class TaskVocabulary:
    """The tokens of a task's training text and what any other word is spelled with.

    Args:
        name: the recipe's model.
        model: of its shape; weights are not looked at.
        tokenizer: the whole one.
        rows: tokenised training rows.

    Raises:
        ModelError: a tokenizer or a model that cannot be cut; the message has the reason.
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
        """What results say of it: tokens kept, of how many, and by split how many rows are spelled otherwise.

        Args:
            full: the splits, tokenised by the whole tokenizer.
            cut: the same, tokenised by this one.
        """
        respelled = {}
        for split in full:
            pairs = zip(full[split]["input_ids"][:], cut[split]["input_ids"][:], strict=True)
            respelled[split] = sum(before != [self.kept[piece] for piece in after] for before, after in pairs)
        return {"pieces": len(self.kept), "of": self.all, "rows_spelled_anew": respelled}
