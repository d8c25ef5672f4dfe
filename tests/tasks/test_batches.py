"""Rows of the built-in vocabulary are tokenised and padded."""

from __future__ import annotations

import torch

from xtc_study.tasks.batches import Padding, tokenize
from xtc_study.tasks.catalogue import find_task, load_task
from xtc_study.tasks.generated.vocabulary import toy_tokenizer


def test_batches_are_padded_only_to_their_longest_row() -> None:
    task, tokenizer = find_task("toy-inference"), toy_tokenizer()
    text = load_task("toy-inference")["dev"].select(range(8))
    rows = tokenize(text, task, tokenizer, 48)
    for original, row in zip(text, rows, strict=True):
        assert row["length"] == len(row["input_ids"]) == sum(row["attention_mask"])
        assert row["labels"] == original["label"]
        first = tokenizer(original["sentence1"])["input_ids"]
        assert row["input_ids"][: len(first)] == first
        assert row["token_type_ids"] == [0] * len(first) + [1] * (row["length"] - len(first))
    batch = Padding(tokenizer, task)([rows[index] for index in range(3)])
    longest = max(rows[index]["length"] for index in range(3))
    assert batch["input_ids"].shape == (3, longest)
    assert set(batch) == {"input_ids", "attention_mask", "token_type_ids", "labels"}
    assert batch["attention_mask"].sum(1).tolist() == [rows[index]["length"] for index in range(3)]
    assert batch["labels"].dtype == torch.long


def test_long_inputs_are_truncated_and_regression_targets_are_floats() -> None:
    task, tokenizer = find_task("toy-similarity"), toy_tokenizer()
    rows = tokenize(load_task("toy-similarity")["dev"].select(range(4)), task, tokenizer, 8)
    assert max(rows["length"]) == 8
    assert Padding(tokenizer, task)([rows[0], rows[1]])["labels"].dtype == torch.float32


def test_padding_is_always_on_the_right() -> None:
    """Padding on the left would shift a row's positions by the length of the padding."""
    task, tokenizer = find_task("toy-sentiment"), toy_tokenizer()
    tokenizer.padding_side = "left"
    rows = tokenize(load_task(task.name)["dev"].select(range(16)), task, tokenizer, 48)
    mask = Padding(tokenizer, task)(list(rows))["attention_mask"]
    assert mask[:, 0].all() and not mask[:, -1].all()
