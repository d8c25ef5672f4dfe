"""A data set of your own, read from its files or the hub, checked row by row, and made into a task.

The task's name is ``own-NAME-HASH``. The hash covers the description (not its ``question``, nor where the files lie)
and the bytes of the files, so that a run is never scored on other data than it says, and how they are read where that
changed since earlier versions. What is on the hub is fixed by ``revision`` alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xtc_study.canonical import digest
from xtc_study.file_stamps import FileStamp, file_stamps
from xtc_study.tasks.metric_names import F1_OF, f1_of
from xtc_study.tasks.rows import Rows, read_rows
from xtc_study.tasks.task import PAIR, SENTENCE, DataError, Task, as_dataset
from xtc_study.tasks.user.description import Description, read_description
from xtc_study.tasks.user.held_out import held_out_rows
from xtc_study.tasks.user.labels import are_trimmed, class_ids, class_names, numbers, refuse

if TYPE_CHECKING:
    from datasets import DatasetDict

PREFIX = "own-"


@dataclass(frozen=True)
class Split:
    """Checked rows: one list of texts a text field; class ids or numbers."""

    texts: list[list[str]]
    labels: list[Any]


@dataclass(frozen=True)
class OwnData:
    """A described data set, read and found to be sound."""

    task: Task
    splits: dict[str, Split]
    notes: tuple[str, ...] = ()
    """How the data were read where that is not plain, a sentence each: for ``xtc-study plan``."""

    def load(self) -> DatasetDict:
        """The splits, with the columns that ``Task`` documents."""
        from datasets import DatasetDict

        return DatasetDict(
            {name: as_dataset(self.task, split.texts, split.labels) for name, split in self.splits.items()}
        )

    def in_train_too(self) -> dict[str, int]:
        """Of each split that is scored, how many of its rows have a text (both, for a pair) that train has as well."""
        trained = set(zip(*self.splits["train"].texts, strict=True))
        others = {name: split for name, split in self.splits.items() if name != "train"}
        return {name: sum(row in trained for row in zip(*split.texts, strict=True)) for name, split in others.items()}

    def counts(self) -> dict[str, dict[str, int]]:
        """Rows by class and split: {class: {split: rows}}. Empty for a regression."""
        return {
            name: {split: rows.labels.count(class_id) for split, rows in self.splits.items()}
            for class_id, name in enumerate(self.task.labels)
        }


def read_own(path: Path) -> OwnData:
    """The data set that a YAML file describes, with every row checked. What was read before is not read again.

    Raises:
        DataError: no such file, a description or rows that are not well formed. The message names file, line or row,
            column, value and fix.
    """
    description = read_description(path)
    files = [path.parent / name for name in description.files.values()]
    return _read(path, description.model_dump_json(), file_stamps(files))


@lru_cache(maxsize=8)
def _read(path: Path, description_json: str, stamps: tuple[FileStamp, ...]) -> OwnData:
    description = Description.model_validate_json(description_json)
    if description.hub:
        raw = _from_hub(path, description)
        content: Any = [[split, name] for split, name in description.splits.items()]
    else:
        columns = [*description.texts, description.label]
        files = {split: path.parent / name for split, name in description.files.items()}
        raw = {split: (file, read_rows(file, columns, description.quoting)) for split, file in files.items()}
        content = [[split, hashlib.sha256(file.read_bytes()).hexdigest()] for split, (file, _) in raw.items()]
    _refuse_twins(path, content)
    labels = class_names(description, *raw["train"])
    splits = {split: _checked(description, labels, file, rows) for split, (file, rows) in raw.items()}
    if description.held_out is not None:
        splits["train"], splits["dev"] = _held_out(path, splits["train"], description.held_out, bool(labels))
    _can_be_learned(path, labels, splits["train"])
    identity = description.model_dump(mode="json", exclude={"question", "files", "splits", "quoting"})
    if description.positive is None:
        del identity["positive"]
    identity |= {"content": content, **_read_otherwise(description, raw)}
    task = Task(
        name=f"{PREFIX}{description.name}-{digest(identity)}",
        question=description.question or f"Your own data: {description.name}.",
        text_fields=SENTENCE if len(description.texts) == 1 else PAIR,
        labels=labels,
        metrics=_metrics(path, description, labels),
        eval_splits=tuple(split for split in splits if split != "train"),
        train_rows=len(splits["train"].labels),
    )
    data = OwnData(task, splits, tuple(_reading_notes(description, raw)))
    return OwnData(task, splits, (*data.notes, *_class_notes(data)))


def _read_otherwise(description: Description, raw: dict[str, tuple[Path, Rows]]) -> dict[str, Any]:
    """What is read or split or learned otherwise than in version 0.1; empty where nothing is, so that names stay."""
    found: dict[str, Any] = {}
    if description.held_out is not None:
        found["held_out_by"] = "class"
    if quoted := [split for split, (_, rows) in raw.items() if rows.quotes.are_csv]:
        found["quoted"] = quoted
    if description.kind == "regression":
        found["labels_by"] = "mean and deviation"
    elif any(are_trimmed(rows.columns[-1]) for _, rows in raw.values()):
        found["trimmed"] = True
    return found


def _reading_notes(description: Description, raw: dict[str, tuple[Path, Rows]]) -> list[str]:
    notes = []
    for file, rows in raw.values():
        if rows.quotes.are_csv and description.quoting is None:
            notes.append(
                f"{file.name}: double quotes are read as CSV's (quoting: none reads them as plain characters)"
            )
        elif rows.quotes.in_doubt:
            many = f"{rows.quotes.in_doubt:,} field{'s' if rows.quotes.in_doubt > 1 else ''}"
            notes.append(
                f"{file.name}: {many} in double quotes, read as part of the text (quoting: csv takes them off)"
            )
        if description.kind == "classification" and (trimmed := are_trimmed(rows.columns[-1])):
            notes.append(f"{file.name}: blanks around {trimmed:,} label{'s' if trimmed > 1 else ''} are left out")
    return notes


def _class_notes(data: OwnData) -> list[str]:
    """Classes that a split does not score."""
    counts = data.counts()
    notes = []
    for split in data.task.eval_splits:
        missing = [name for name in counts if not counts[name][split]]
        if missing:
            some = ", ".join(map(repr, missing[:5])) + (", ..." if len(missing) > 5 else "")
            notes.append(f"no row of {split} has the label {some}: its scores say nothing about it")
    return notes


def _metrics(path: Path, description: Description, labels: tuple[str, ...]) -> tuple[str, ...]:
    """The task's metrics; the F1 of a class by its id and name."""
    if not labels:
        return tuple(description.metrics or description.known_metrics[:2])
    found = []
    for metric in description.metrics or description.known_metrics[:1]:
        name = description.positive if metric == "f1" else metric.removeprefix(F1_OF)
        if metric == "f1" and len(labels) != 2:
            raise DataError(
                f"{path}: metrics: f1 needs two classes, here are {len(labels)}; use macro_f1, {F1_OF}CLASS, accuracy "
                "or matthews"
            )
        if name is None:
            raise DataError(
                f"{path}: metrics: f1 is that of one class, and nothing says of which; add positive: {labels[1]} or "
                f"positive: {labels[0]} (the class that is looked for, mostly the rarer one), or use macro_f1"
            )
        if metric != "f1" and not metric.startswith(F1_OF):
            found.append(metric)
        elif name in labels:
            found.append(f1_of(labels.index(name), name))
        else:
            field = "positive" if metric == "f1" else "metrics"
            raise DataError(f"{path}: {field}: {name!r} is no class; expected one of {', '.join(map(repr, labels))}")
    if len(set(found)) != len(found):
        raise DataError(f"{path}: metrics: f1 and {F1_OF}{description.positive} are the same; keep one of them")
    return tuple(found)


def _refuse_twins(path: Path, content: Sequence[Sequence[str]]) -> None:
    """Two splits of the same bytes, or of one split of the hub, would be trained on and scored alike."""
    first: dict[str, str] = {}
    for split, source in content:
        other = first.setdefault(source, split)
        if other != split:
            raise DataError(
                f"{path}: {other} and {split} are the same data; name another file or split for one of them, or leave "
                "it out and set held_out: 0.1"
            )


def _from_hub(path: Path, description: Description) -> dict[str, tuple[Path, Rows]]:
    """The hub's splits as rows. ``datasets`` runs no code of a data set, and neither do we."""
    import datasets

    hub = str(description.hub)
    if Path(hub).exists():
        raise DataError(f"{path}: hub={hub!r} is a folder or file here as well; name its files under files")
    try:
        found = datasets.load_dataset(hub, description.config, revision=description.revision)
    except Exception as error:
        # Errors of datasets, huggingface_hub and the HTTP client have no base class in common.
        raise DataError(
            f"{path}: hub={hub!r} could not be loaded ({type(error).__name__}: {error}); without the hub, save the "
            "data as files and name them under files"
        ) from error
    raw = {}
    for split, name in description.splits.items():
        if name not in found:
            raise DataError(f"{path}: splits: {hub} has no split {name!r}, it has {', '.join(found)}")
        data, columns = found[name], []
        for column in (*description.texts, description.label):
            if column not in data.column_names:
                raise DataError(f"{path}: {hub} has no column {column!r}, it has {', '.join(data.column_names)}")
            names, values = getattr(data.features[column], "names", None), data[column][:]
            # Ids of a hub's classes become their names; -1 stands for a hidden label.
            columns.append([names[v] if v in range(len(names)) else v for v in values] if names else values)
        if not len(data):
            raise DataError(f"{path}: split {name!r} of {hub} has no rows")
        raw[split] = (Path(f"{hub} {name}"), Rows("row", list(range(len(data))), columns))
    return raw


def _checked(description: Description, labels: tuple[str, ...], file: Path, rows: Rows) -> Split:
    for column, values in zip(description.texts, rows.columns[:-1], strict=True):
        wrong = [not isinstance(value, str) or not value.strip() for value in values]
        refuse(file, rows, column, values, wrong, "text", "write it or delete the row")
    if labels:
        return Split(rows.columns[:-1], class_ids(description, labels, file, rows))
    return Split(rows.columns[:-1], numbers(description, file, rows))


def _held_out(path: Path, train: Split, share: float, has_classes: bool) -> tuple[Split, Split]:
    """Train and dev."""
    texts = list(zip(*train.texts, strict=True))
    held = held_out_rows(texts, train.labels if has_classes else None, share)
    if not any(held):
        raise DataError(
            f"{path}: held_out leaves no row to score on, for no class has two different texts; add rows, or a file "
            "to score on"
        )
    return _rows_of(train, [not row for row in held]), _rows_of(train, held)


def _rows_of(split: Split, kept: Sequence[bool]) -> Split:
    texts = [[text for text, keep in zip(column, kept, strict=True) if keep] for column in split.texts]
    return Split(texts, [label for label, keep in zip(split.labels, kept, strict=True) if keep])


def _can_be_learned(path: Path, labels: tuple[str, ...], train: Split) -> None:
    if not train.labels:
        raise DataError(f"{path}: held_out leaves no row to train on; add rows, or a file to score on")
    if not labels and min(train.labels) == max(train.labels):
        raise DataError(f"{path}: every row of train has the label {train.labels[0]:g}; there is nothing to learn")
    trained = set(train.labels)
    missing = [name for index, name in enumerate(labels) if index not in trained]
    if missing:
        raise DataError(
            f"{path}: no row of train has the label {', '.join(map(repr, missing))}; take it out of labels, or check "
            "how the data write it"
        )
