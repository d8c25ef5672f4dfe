"""Describes the text that planned runs will read: rows by class and split, how files were read, how much is cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from xtc_study.tasks.glue import FILES, SOURCES
from xtc_study.tasks.glue_tsv import read_tsv
from xtc_study.tasks.lengths import lengths_of
from xtc_study.tasks.metric_names import in_words
from xtc_study.tasks.task import DataError
from xtc_study.tasks.user.dataset import OwnData, read_own
from xtc_study.training.text_check import Columns, reader_at_hand, sampled, unsuited

if TYPE_CHECKING:
    from rich.console import Console

    from xtc_study.study import Study

SHOWN_CLASSES = 12
"""Of more classes than this, only the rarest are listed."""


def data_lines(studies: Sequence[Study], only_bad: bool = False) -> Iterator[str]:
    """Describe the user's own data, and GLUE's where its folder is given and much of its text is cut.

    Args:
        studies: of one profile, with the same task files.
        only_bad: only what is cut or cannot be read.
    """
    first = studies[0]
    read_with = dict.fromkeys(
        (run.recipe.task, run.recipe.model, run.recipe.max_length) for one in studies for run in one.planned
    )
    for file in first.places.task_files:
        data = read_own(file)
        if not only_bad:
            yield from described(data, file.name)
        splits: dict[str, Columns] = {split: part.texts for split, part in data.splits.items()}
        for task, model, length in read_with:
            if task == data.task.name:
                yield from _read_by(first, model, length, splits, f"{file.name}: " if only_bad else "  ", only_bad)
    for task, model, length in read_with:
        if task in SOURCES and first.places.data_dir is not None:
            texts = _glue_texts(first, task)
            yield from _read_by(first, model, length, texts, f"{task}: ", only_bad=True)


def described(data: OwnData, name: str) -> Iterator[str]:
    """Describe a task: its rows by class and split, its metrics, and how its files were read."""
    rows = ", ".join(f"{split} {len(part.labels):,} rows" for split, part in data.splits.items())
    yield f"{name}, task {data.task.name}: {rows}; metrics: {', '.join(map(in_words, data.task.metrics))}"
    if data.task.is_regression:
        for split, part in data.splits.items():
            mean = sum(part.labels) / len(part.labels)
            yield f"  labels of {split}: {min(part.labels):g} to {max(part.labels):g}, mean {mean:g}"

    # Rows by class and split.
    counts = data.counts()
    shown = list(counts)
    if len(counts) > SHOWN_CLASSES:
        shown = sorted(counts, key=lambda label: sum(counts[label].values()))[:SHOWN_CLASSES]
        yield f"  {len(counts)} classes; the rarest:"
    for label in shown:
        yield f"  {label!r}: " + ", ".join(f"{number:,} in {split}" for split, number in counts[label].items())

    for note in data.notes:
        yield f"  {note}"


def _read_by(
    study: Study, model: str, length: int, splits: Mapping[str, Columns], indent: str, only_bad: bool
) -> Iterator[str]:
    """Describe how a model's tokenizer reads the splits, from a sample of each."""
    reader = reader_at_hand(model, study.places.models_dir)
    if reader is None:
        if splits and not only_bad:
            yield f"{indent}the tokenizer of {model} is not on this machine yet; a run will say how many texts are cut"
        return
    for split, columns in splits.items():
        sample = sampled(columns)
        rows = reader.encode(sample)
        lengths = lengths_of([len(ids) for ids in rows], length)
        if split == "train" and (reason := unsuited(sample, rows, reader, lengths)):
            yield f"{indent}a run will refuse model={model!r}: {reason}"
            return
        counted = "" if len(rows) == len(columns[0]) else f" (counted on {len(rows):,} of {len(columns[0]):,})"
        if lengths.is_bad or not only_bad:
            yield f"{indent}{lengths.in_words(f'rows of {split}')}{counted}"


def _glue_texts(study: Study, task: str) -> dict[str, Columns]:
    """Read the task's training text; empty where its file is malformed, which a run reports."""
    source = SOURCES[task]
    try:
        assert study.places.data_dir is not None
        path = study.places.data_dir / source.folder / FILES["train"]
        rows = read_tsv(path, source.file_texts, source.header)
    except DataError:
        return {}
    return {"train": list(zip(*(row.values for row in rows), strict=True))}


def say_data(studies: Sequence[Study], console: Console, only_bad: bool = False) -> None:
    """Print ``data_lines``."""
    for line in data_lines(studies, only_bad):
        console.print(line, markup=False)
