"""What a plan says of the text its runs will read: classes by split, how files were read, how much is cut."""

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
"""Of more classes the rarest are listed."""


def data_lines(studies: Sequence[Study], only_bad: bool = False) -> Iterator[str]:
    """Lines on the data of your own that are chosen, and on GLUE's where its folder is and much of its text is cut.

    Args:
        studies: of one profile, with the same tasks' files. only_bad: only what is cut or cannot be read.
    """
    first = studies[0]
    read_with = dict.fromkeys(
        (run.recipe.task, run.recipe.model, run.recipe.max_length) for one in studies for run in one.planned
    )
    for file in first.places.task_files:
        data = read_own(file)
        if not only_bad:
            yield from described(data, file.name)
        splits: dict[str, Columns] = {split: found.texts for split, found in data.splits.items()}
        for task, model, length in read_with:
            if task == data.task.name:
                yield from _read_by(first, model, length, splits, f"{file.name}: " if only_bad else "  ", only_bad)
    for task, model, length in read_with:
        if task in SOURCES and first.places.data_dir is not None:
            texts = _glue_texts(first, task)
            yield from _read_by(first, model, length, texts, f"{task}: ", only_bad=True)


def described(data: OwnData, name: str) -> Iterator[str]:
    """The task, its rows by class and split, its metrics, and how its files were read."""
    rows = ", ".join(f"{split} {len(found.labels):,} rows" for split, found in data.splits.items())
    yield f"{name}, task {data.task.name}: {rows}; metrics: {', '.join(map(in_words, data.task.metrics))}"
    if data.task.is_regression:
        for split, found in data.splits.items():
            mean = sum(found.labels) / len(found.labels)
            yield f"  labels of {split}: {min(found.labels):g} to {max(found.labels):g}, mean {mean:g}"
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
    """How a model's tokenizer reads the splits, each of at most ``reading.SAMPLE`` rows."""
    reader = reader_at_hand(model, study.places.models_dir)
    if reader is None:
        if splits and not only_bad:
            yield f"{indent}the tokenizer of {model} is not here yet: a run says how many texts are cut"
        return
    for split, columns in splits.items():
        some = sampled(columns)
        rows = reader.encode(some)
        found = lengths_of([len(ids) for ids in rows], length)
        if split == "train" and (said := unsuited(some, rows, reader, found)):
            yield f"{indent}a run will refuse model={model!r}: {said}"
            return
        sample = "" if len(rows) == len(columns[0]) else f" (counted on {len(rows):,} of {len(columns[0]):,})"
        if found.is_bad or not only_bad:
            yield f"{indent}{found.in_words(f'rows of {split}')}{sample}"


def _glue_texts(study: Study, task: str) -> dict[str, Columns]:
    """The task's training text; nothing where its file is not as it should be, which a run says."""
    source = SOURCES[task]
    try:
        assert study.places.data_dir is not None
        path = study.places.data_dir / source.folder / FILES["train"]
        rows = read_tsv(path, source.file_texts, source.header)
    except DataError:
        return {}
    return {"train": list(zip(*(row.values for row in rows), strict=True))}


def say_data(studies: Sequence[Study], console: Console, only_bad: bool = False) -> None:
    """Prints ``data_lines``."""
    for line in data_lines(studies, only_bad):
        console.print(line, markup=False)
