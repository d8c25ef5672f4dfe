"""Data augmentation by word replacement (TinyBERT, Jiao et al. 2020, section 3.3 and algorithm 1).

For each sentence, find the words that can be replaced and the candidates for each. Then, N times, replace each of
these words with probability p by a candidate drawn at random. Variants keep their row's label.

Differences from TinyBERT's code, on purpose:

- In a pair, one sentence varies while the other stays original. In TinyBERT's code the first sentence stays in its
  last variant while the second varies.
- A variant equal to the text of another row, or of a row of an evaluation split, is dropped: the former might
  contradict that row's label, the latter would train on what is to be scored.
- The text between words is kept; TinyBERT's code joins words and punctuation with spaces.
- The variants of a row depend only on the data, not on the seed of a run: all seeds and arms share one pool.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from xtc_study.atomic import replacing
from xtc_study.tasks.augmentation.words import Slot, WordSource
from xtc_study.tasks.task import Task

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

SEED = 0
"""Seed of the draws. It is part of the method, not of a run."""

CHUNK_ROWS = 1000
"""Original rows per file, with their variants; a killed augmentation resumes after its last complete file."""

Texts = tuple[str, ...]
"""The sentence, or the two sentences, of a row."""


def variants(sentence: str, slots: Sequence[Slot], copies: int, probability: float, rng: Random) -> list[str]:
    """Return the new sentences of ``copies`` draws, in order, without repeats and without the original.

    Args:
        sentence: the original.
        slots: the words that can be replaced, from left to right, with their candidates.
        copies: number of draws (TinyBERT's N).
        probability: that a word is replaced (TinyBERT's p).
        rng: random source.
    """
    drawn: dict[str, None] = {}
    for _ in range(copies if slots else 0):
        parts, end = [], 0
        for slot in slots:
            # Python guarantees the same numbers in every version only for Random.random().
            if rng.random() < probability:
                parts += [sentence[end : slot.start], slot.words[int(rng.random() * len(slot.words))]]
                end = slot.end
        drawn["".join(parts) + sentence[end:]] = None
    drawn.pop(sentence, None)
    return list(drawn)


class Augmenter:
    """Adds variants to the training rows of a task.

    Args:
        text: the task's data; only ``train`` is augmented, the other splits exclude variants.
        task: names the text fields and the evaluation splits.
        source: finds the words that can be replaced, and their candidates.
        copies: number of draws per sentence (TinyBERT's N).
        probability: that a word is replaced (TinyBERT's p).
    """

    def __init__(self, text: DatasetDict, task: Task, source: WordSource, copies: int, probability: float) -> None:
        self.task, self.source, self.copies, self.probability = task, source, copies, probability
        self.train: Dataset = text["train"]
        self.taken: set[Texts] = set()
        for split in ("train", *task.eval_splits):
            self.taken.update(self._texts(text[split]))

    def write(self, folder: Path) -> list[Path]:
        """Write the augmented rows to parquet files in ``folder`` and return their paths in order.

        Existing files are kept. Columns are those of the original rows and ``variant``: 0 for the row itself, which
        comes first, then 1, 2, ...
        """
        folder.mkdir(parents=True, exist_ok=True)
        files = []
        for start in tqdm(range(0, len(self.train), CHUNK_ROWS), desc=f"augmenting {self.task.name}", unit="file"):
            file = folder / f"rows-{start:08d}.parquet"
            files.append(file)
            if not file.is_file():
                rows = self.train.select(range(start, min(start + CHUNK_ROWS, len(self.train))))
                with replacing(file) as partial:
                    self.augmented(rows).to_parquet(partial)
        return files

    def augmented(self, rows: Dataset) -> Dataset:
        """Return these rows, each followed by its variants."""
        texts = self._texts(rows)
        sentences = list(dict.fromkeys(sentence for row in texts for sentence in row))
        slots = dict(zip(sentences, self.source.slots(sentences), strict=True))

        # Per new row: the position of its original, the number of its variant, its texts.
        originals: list[int] = []
        numbers: list[int] = []
        new: list[Texts] = []
        for place, (row, idx) in enumerate(zip(texts, rows["idx"][:], strict=True)):
            family = [row, *self._variants(row, idx, slots)]
            originals += [place] * len(family)
            numbers += range(len(family))
            new += family

        # Every column but the texts is copied from the original.
        columns: dict[str, Any] = {name: rows[name][:] for name in rows.column_names}
        columns = {name: [values[place] for place in originals] for name, values in columns.items()}
        for position, field in enumerate(self.task.text_fields):
            columns[field] = [row[position] for row in new]
        return _like(rows, columns, numbers)

    def _variants(self, row: Texts, idx: int, slots: dict[str, list[Slot]]) -> Iterator[Texts]:
        for position, sentence in enumerate(row):
            rng = Random(f"{SEED} {idx} {position}")
            for variant in variants(sentence, slots[sentence], self.copies, self.probability, rng):
                texts = (*row[:position], variant, *row[position + 1 :])
                if texts not in self.taken:
                    yield texts

    def _texts(self, rows: Dataset) -> list[Texts]:
        return list(zip(*(rows[field][:] for field in self.task.text_fields), strict=True))


def _like(rows: Dataset, columns: dict[str, Any], numbers: list[int]) -> Dataset:
    from datasets import Dataset, Features, Value

    features = Features({**rows.features, "variant": Value("int32")})
    return Dataset.from_dict({**columns, "variant": numbers}, features=features)
