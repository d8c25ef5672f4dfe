"""Inputs to compare two runtimes of a model on: rows of the task's dev split, or random ones without data."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from xtc_study.packed.text_length import longest_text

if TYPE_CHECKING:
    from datasets import Dataset

    from xtc_study.tasks.task import Task

Batch = dict[str, torch.Tensor]

TYPES = "token_type_ids"
ROWS = 512
"""Maximum rows of a dev split, evenly spaced."""
BATCHES = (1, 3, 8, 32)
"""Batch sizes, in rotation. Rows keep the split's order, so that batches differ in length and padding."""


def input_names(model: Any, tokenizer: Any = None) -> list[str]:
    """Return the names of an exported file's inputs: those that the tokenizer gives and the model uses.

    Token types are included if the model has two or more of them, or has one and its tokenizer gives it.

    Args:
        model: the classifier.
        tokenizer: its tokenizer; None: only the model decides.
    """
    kinds = int(getattr(model.config, "type_vocab_size", 0) or 0)
    takes = TYPES in inspect.signature(model.forward).parameters
    gives = tokenizer is None or TYPES in tokenizer.model_input_names
    names = ["input_ids", "attention_mask"]
    return [*names, TYPES] if takes and gives and kinds > (tokenizer is None) else names


def sample_inputs(config: Any, batch: int, length: int, padded: bool = False) -> Batch:
    """Return random pairs of texts, (batch, length) int64: ids, attention mask, and token types if the model has two.

    The second half of each text has type 1.

    Args:
        config: the model's configuration.
        batch: number of rows.
        length: tokens of the longest row.
        padded: whether each row is shorter than the one before.
    """
    generator = torch.Generator().manual_seed(batch * 1000 + length)
    ids = torch.randint(3, config.vocab_size, (batch, length), generator=generator)
    lengths = torch.linspace(length, length // 2, batch).long() if padded else torch.full((batch,), length)
    places = torch.arange(length)
    mask = places < lengths[:, None]
    pad = config.pad_token_id or 0
    inputs = {"input_ids": torch.where(mask, ids, pad), "attention_mask": mask.long()}
    if int(getattr(config, "type_vocab_size", 0) or 0) > 1:
        inputs[TYPES] = (mask & (places >= lengths[:, None] // 2)).long()
    return inputs


def random_batches(model: Any, names: Sequence[str]) -> list[Batch]:
    """Return batches of random pairs of several lengths, up to what the model reads, for a model without data.

    Args:
        model: the packed model.
        names: the inputs of each batch.
    """
    longest = min(64, longest_text(Path(str(model.name_or_path)), model))
    shapes = [(rows, max(longest * part // 4, 4)) for rows, part in zip(BATCHES, (4, 1, 3, 2), strict=True)]
    batches = [sample_inputs(model.config, *shape, padded=True) for shape in shapes]
    return [select_inputs(batch, names) for batch in batches]


def task_batches(text: Dataset, task: Task, tokenizer: Any, max_length: int, names: Sequence[str]) -> list[Batch]:
    """Return batches of up to ``ROWS`` rows of a split, cut and padded as in training.

    Args:
        text: the split as text.
        task: names the text fields.
        tokenizer: the packed folder's tokenizer.
        max_length: maximum tokens of a row.
        names: the inputs of each batch.
    """
    from xtc_study.tasks.batches import Padding, tokenize

    count = min(ROWS, len(text))
    rows = tokenize(text.select([row * len(text) // count for row in range(count)]), task, tokenizer, max_length)
    padding, start = Padding(tokenizer, task), 0
    batches: list[Batch] = []
    while start < count:
        size = BATCHES[len(batches) % len(BATCHES)]
        batch = padding([rows[row] for row in range(start, min(start + size, count))])
        batches.append(select_inputs(batch, names))
        start += size
    return batches


def select_inputs(batch: Batch, names: Sequence[str]) -> Batch:
    """Return the inputs of these names; missing token types are 0, as a tokenizer gives them for single texts."""
    return {name: batch[name] if name in batch else torch.zeros_like(batch["input_ids"]) for name in names}
