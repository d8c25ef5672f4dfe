"""Turn text into batches: rows are tokenised without padding and padded only to the longest of their batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xtc_study.tasks.task import Task

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor

ROW = "row"
"""Name of the column of row numbers, which tells which rows a batch holds. Only some data sets have it."""


def tokenize(rows: Dataset, task: Task, tokenizer: Any, max_length: int) -> Dataset:
    """Tokenise rows to input_ids, attention_mask (and token_type_ids if the model has them), labels and length.

    Inputs are not padded here. A pair is truncated to ``max_length`` tokens in all, its longer side first.
    """

    def encode(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        encoded = tokenizer(
            *(batch[field] for field in task.text_fields), truncation="longest_first", max_length=max_length
        )
        encoded["length"] = [len(ids) for ids in encoded["input_ids"]]
        encoded["labels"] = batch["label"]
        return dict(encoded)

    return rows.map(encode, batched=True, remove_columns=rows.column_names, keep_in_memory=True)


def tokenize_to_disk(files: Sequence[Path], target: Path, task: Task, tokenizer: Any, max_length: int) -> None:
    """Tokenise the rows of parquet files, one file at a time, into one Arrow file; read it with ``from_disk``.

    Millions of rows then take no memory: batches are read from the file as they are needed.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Dataset

    writer = None
    try:
        for file in files:
            rows = tokenize(Dataset(pq.read_table(file)), task, tokenizer, max_length).data.table
            writer = writer or pa.ipc.new_stream(target, rows.schema)
            writer.write_table(rows)
    finally:
        if writer is not None:
            writer.close()


def from_disk(path: Path) -> Dataset:
    """Open tokenised rows without loading them into memory."""
    from datasets import Dataset

    return Dataset.from_file(str(path))


class Padding:
    """Collates rows into one batch of tensors, padded to the longest row.

    Args:
        tokenizer: pads the inputs.
        task: says whether labels are classes or numbers.
        standard: maps labels to the scale on which they are learned (``training/label_scale.py``).
    """

    def __init__(self, tokenizer: Any, task: Task, standard: Callable[[Sequence[float]], list[float]] = list) -> None:
        self.tokenizer, self.is_regression, self.standard = tokenizer, task.is_regression, standard
        self.fill = {
            "input_ids": tokenizer.pad_token_id,
            "attention_mask": 0,
            "token_type_ids": tokenizer.pad_token_type_id,
        }

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Return tensors input_ids, attention_mask, ... (batch, positions), labels (batch,), and ROW if present."""
        import torch

        labels = self.standard([row["labels"] for row in rows])
        names = [name for name in rows[0] if name not in ("labels", "length", ROW)]
        if set(names) <= set(self.fill):
            # As tokenizer.pad, which checks every row and took three times as long (32 rows of MRPC).
            longest = max(len(row["input_ids"]) for row in rows)
            batch = {
                name: torch.tensor([row[name] + [self.fill[name]] * (longest - len(row[name])) for row in rows])
                for name in names
            }
        else:
            # Always on the right, whatever the tokenizer's default: encoders count positions from the first token.
            inputs = [{name: row[name] for name in names} for row in rows]
            batch = dict(self.tokenizer.pad(inputs, return_tensors="pt", padding_side="right"))
        if ROW in rows[0]:
            batch[ROW] = torch.tensor([row[ROW] for row in rows])
        batch["labels"] = torch.tensor(labels, dtype=torch.float32 if self.is_regression else torch.long)
        return batch
