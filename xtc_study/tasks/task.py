"""What a task is: its text fields, labels, metrics and evaluation splits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset

SENTENCE = ("sentence",)
PAIR = ("sentence1", "sentence2")


class DataError(ValueError):
    """The data on disk do not match what the task expects. The message names the file, the line and the fix."""


@dataclass(frozen=True)
class Task:
    """One text task.

    A loaded task is a ``datasets.DatasetDict`` with a split ``train`` and every split of ``eval_splits``. Its
    columns are ``text_fields`` (str), ``label`` (class id as int, or float for regression) and ``idx`` (int, the
    row number in its split).
    """

    name: str
    question: str
    """One sentence that states what the model must decide."""
    text_fields: tuple[str, ...]
    """``("sentence",)`` or ``("sentence1", "sentence2")``, whatever the columns of the source are called."""
    labels: tuple[str, ...]
    """Class names in the order of their ids; empty for regression."""
    metrics: tuple[str, ...]
    """Names from ``xtc_study.tasks.metric_names``; the first is the primary metric."""
    eval_splits: tuple[str, ...] = ("dev",)
    """MNLI has two: ``matched`` and ``mismatched``."""
    train_rows: int | None = None
    """Training rows, if known before the data are read; a plan's cost estimate uses this number."""
    dev_rows: int | None = None
    """Rows of an evaluation split, if known before the data are read; a plan computes statistical power from it."""
    typical_length: int | None = None
    """Mean tokens per row of a batch, padding included. None: not measured, and a plan assumes the longest."""

    @property
    def is_regression(self) -> bool:
        return not self.labels

    @property
    def num_labels(self) -> int:
        """Number of classifier outputs: one per class, or 1 for regression."""
        return max(len(self.labels), 1)

    @property
    def primary_metric(self) -> str:
        return self.metrics[0]


def as_dataset(task: Task, texts: list[list[str]], labels: list[Any]) -> Dataset:
    """Build one split with the columns that ``Task`` documents.

    Args:
        task: names the text fields and says whether labels are classes or numbers.
        texts: one list per text field.
        labels: one class id or number per row.
    """
    from datasets import Dataset, Features, Value

    # The hub stores scores as float32 and, for MRPC, an idx with gaps; every source gets one type and one numbering.
    # Your own numbers may have any unit: dates in seconds would lose their differences in float32.
    number = "float64" if task.name.startswith("own-") else "float32"
    features = {field: Value("string") for field in task.text_fields}
    features |= {"label": Value(number if task.is_regression else "int64"), "idx": Value("int64")}
    columns = dict(zip(task.text_fields, texts, strict=True)) | {"label": labels, "idx": list(range(len(labels)))}
    return Dataset.from_dict(columns, features=Features(features))
