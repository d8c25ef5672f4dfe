"""A student as its file stores it: whole, or with the vocabulary of its task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from xtc_study.compress.reduction.word_table import cut_vocabulary
from xtc_study.tasks.batches import Padding, tokenize
from xtc_study.tasks.task import Task
from xtc_study.training.task_vocabulary import TaskVocabulary


class Filed(NamedTuple):
    """The model and tokenizer of a student's file, and the dev rows as that tokenizer encodes them."""

    model: Any
    tokenizer: Any
    dev: dict[str, Any]
    padding: Padding
    vocabulary: dict[str, Any] | None
    """What was cut (``TaskVocabulary.record``); None if nothing was."""


def cut(whole: Filed, vocabulary: TaskVocabulary, text: Mapping[str, Any], task: Task, longest: int) -> Filed:
    """Return the student with the task's vocabulary alone, and the dev rows as the smaller tokenizer spells them.

    Args:
        whole: with every token.
        vocabulary: what to keep.
        text: the splits as text.
        task: names the text fields.
        longest: maximum tokens of a row.
    """
    model, tokenizer = cut_vocabulary(whole.model, vocabulary.kept), vocabulary.tokenizer
    dev = {split: tokenize(text[split], task, tokenizer, longest) for split in whole.dev}
    return Filed(model, tokenizer, dev, Padding(tokenizer, task), vocabulary.record(whole.dev, dev))
