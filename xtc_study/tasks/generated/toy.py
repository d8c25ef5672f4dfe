"""The five generated tasks: their registry, and the generation of their data, the same on every machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from random import Random
from typing import TYPE_CHECKING

from xtc_study.tasks.generated import grammar as grammar
from xtc_study.tasks.task import PAIR, SENTENCE, Task, as_dataset

if TYPE_CHECKING:
    from datasets import DatasetDict

TRAIN_EXAMPLES = 5000
DEV_EXAMPLES = 2000
"""Enough rows that the uncertainty of a difference comes from seeds, not from rows; scoring them is cheap."""
TYPICAL_LENGTHS = {
    "toy-acceptability": 10,
    "toy-sentiment": 16,
    "toy-paraphrase": 17,
    "toy-similarity": 23,
    "toy-inference": 18,
}
"""Mean tokens per row in training batches of 32, with the built-in encoder's tokenizer."""

TOY_TASKS: dict[str, Task] = {
    task.name: replace(
        task, train_rows=TRAIN_EXAMPLES, dev_rows=DEV_EXAMPLES, typical_length=TYPICAL_LENGTHS[task.name]
    )
    for task in (
        Task(
            name="toy-acceptability",
            question="Does every verb and determiner of the sentence agree with its noun?",
            text_fields=SENTENCE,
            labels=("unacceptable", "acceptable"),
            metrics=("matthews", "accuracy"),
        ),
        Task(
            name="toy-sentiment",
            question="Is the review, all its opinions weighed, positive or negative?",
            text_fields=SENTENCE,
            labels=("negative", "positive"),
            metrics=("accuracy",),
        ),
        Task(
            name="toy-paraphrase",
            question="Do both sentences say that the same person did the same to the same person?",
            text_fields=PAIR,
            labels=("different", "paraphrase"),
            metrics=("f1", "accuracy"),
        ),
        Task(
            name="toy-similarity",
            question="How many of their five concepts, from 0 to 5, do the sentences share?",
            text_fields=PAIR,
            labels=(),
            metrics=("pearson", "spearman"),
        ),
        Task(
            name="toy-inference",
            question="Does the second sentence follow from the first, is it open, or is it ruled out?",
            text_fields=PAIR,
            labels=("entailment", "neutral", "contradiction"),
            metrics=("accuracy",),
        ),
    )
}
"""Task by name."""

# For each task: its generator, its number of classes (levels, for the regression) and the seed of its data.
_SOURCES: dict[str, tuple[Callable[[Random, int], grammar.Example], int, int]] = {
    "toy-acceptability": (grammar.acceptability, 2, 1),
    "toy-sentiment": (grammar.sentiment, 2, 2),
    "toy-paraphrase": (grammar.paraphrase, 2, 3),
    "toy-similarity": (grammar.similarity, 6, 4),
    "toy-inference": (grammar.inference, 3, 5),
}


def load_toy(name: str) -> DatasetDict:
    """Generate the task's data: the same on every machine and for every seed of a run.

    Args:
        name: a key of ``TOY_TASKS``.

    Returns:
        Splits ``train`` (5000 rows) and ``dev`` (2000 rows), with the columns that ``Task`` documents. No input occurs
        twice in the whole task, and the classes alternate, so that the first rows of a split are balanced as well.

    Raises:
        ValueError: no generated task has this name.
    """
    if name not in TOY_TASKS:
        raise ValueError(f"unknown generated task {name!r}; expected one of {', '.join(TOY_TASKS)}")
    from datasets import DatasetDict  # slow to import, and a plan needs only the names

    task = TOY_TASKS[name]
    rows = _rows(name, TRAIN_EXAMPLES + DEV_EXAMPLES)
    splits = {}
    for split, part in (("train", rows[:TRAIN_EXAMPLES]), ("dev", rows[TRAIN_EXAMPLES:])):
        texts = [[example[place] for example, _ in part] for place in range(len(task.text_fields))]
        splits[split] = as_dataset(task, texts, [label for _, label in part])
    return DatasetDict(splits)


def _rows(name: str, size: int) -> list[tuple[grammar.Example, int]]:
    """Distinct examples whose classes alternate."""
    generate, classes, seed = _SOURCES[name]
    rng = Random(seed)
    rows: dict[grammar.Example, int] = {}
    for label in (turn % classes for turn in count()):
        example = generate(rng, label)
        while example in rows:
            example = generate(rng, label)
        rows[example] = label
        if len(rows) == size:
            break
    return list(rows.items())
