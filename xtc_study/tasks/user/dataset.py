"""Read your own data set from files or the hub, check every row, and make it a task.

The task's name is ``own-NAME-HASH``. The hash covers the description (without its ``question`` and the paths of the
files) and the bytes of the files, so that a run is never scored on data other than those it names. It also covers how
the data are read, where that changed since earlier versions. Data on the hub are fixed only by ``revision``.
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
from xtc_study.tasks.user.labels import class_ids, class_names, numbers, refuse, trimmed_labels

if TYPE_CHECKING:
    from datasets import DatasetDict

PREFIX = "own-"


@dataclass(frozen=True)
class Split:
    """Checked rows: one list of texts per text field, and class ids or numbers."""

    texts: list[list[str]]
    labels: list[Any]


@dataclass(frozen=True)
class OwnData:
    """A described data set that was read and passed every check."""

    task: Task
    splits: dict[str, Split]
    notes: tuple[str, ...] = ()
    """What is not obvious about how the data were read, one sentence each, for ``xtc-study plan``."""

    def load(self) -> DatasetDict:
        """Build the splits, with the columns that ``Task`` documents."""
        from datasets import DatasetDict

        return DatasetDict(
            {name: as_dataset(self.task, split.texts, split.labels) for name, split in self.splits.items()}
        )

    def in_train_too(self) -> dict[str, int]:
        """Count for each scored split the rows whose text (both texts, for a pair) also occurs in train."""
        trained = set(zip(*self.splits["train"].texts, strict=True))
        others = {name: split for name, split in self.splits.items() if name != "train"}
        return {name: sum(row in trained for row in zip(*split.texts, strict=True)) for name, split in others.items()}

    def counts(self) -> dict[str, dict[str, int]]:
        """Count rows by class and split: {class: {split: rows}}. Empty for a regression."""
        return {
            name: {split: rows.labels.count(class_id) for split, rows in self.splits.items()}
            for class_id, name in enumerate(self.task.labels)
        }


def read_own(path: Path) -> OwnData:
    """Read the data set that a YAML file describes and check every row. Unchanged files are not read again.

    Raises:
        DataError: no such file, or an invalid description or row. The message names the file, the line or row, the
            column, the value and the fix.
    """
    description = read_description(path)
    files = [path.parent / name for name in description.files.values()]
    return _read(path, description.model_dump_json(), file_stamps(files))


@lru_cache(maxsize=8)
def _read(path: Path, description_json: str, stamps: tuple[FileStamp, ...]) -> OwnData:
    description = Description.model_validate_json(description_json)

    # Read: rows by split, and what identifies their content.
    if description.hub:
        raw = _from_hub(path, description)
        content: Any = [[split, name] for split, name in description.splits.items()]
    else:
        columns = [*description.texts, description.label]
        files = {split: path.parent / name for split, name in description.files.items()}
        raw = {split: (file, read_rows(file, columns, description.quoting)) for split, file in files.items()}
        content = [[split, hashlib.sha256(file.read_bytes()).hexdigest()] for split, (file, _) in raw.items()]
    _refuse_identical_splits(path, content)

    # Check: classes come from train and apply to every split.
    labels = class_names(description, *raw["train"])
    splits = {split: _checked(description, labels, file, rows) for split, (file, rows) in raw.items()}
    if description.held_out is not None:
        splits["train"], splits["dev"] = _held_out(path, splits["train"], description.held_out, bool(labels))
    _check_learnable(path, labels, splits["train"])

    # Name: the hash leaves out fields that earlier versions did not have, so that their names stay.
    identity = description.model_dump(mode="json", exclude={"question", "files", "splits", "quoting"})
    if description.positive is None:
        del identity["positive"]
    identity |= {"content": content, **_changed_reading(description, raw)}

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


def _changed_reading(description: Description, raw: dict[str, tuple[Path, Rows]]) -> dict[str, Any]:
    """What is read, split or learned differently from version 0.1; empty if nothing is, so that names stay."""
    changed: dict[str, Any] = {}
    if description.held_out is not None:
        changed["held_out_by"] = "class"
    if quoted := [split for split, (_, rows) in raw.items() if rows.quotes.are_csv]:
        changed["quoted"] = quoted
    if description.kind == "regression":
        changed["labels_by"] = "mean and deviation"
    elif any(trimmed_labels(rows.columns[-1]) for _, rows in raw.values()):
        changed["trimmed"] = True
    return changed


def _reading_notes(description: Description, raw: dict[str, tuple[Path, Rows]]) -> list[str]:
    notes = []
    for file, rows in raw.values():
        if rows.quotes.are_csv and description.quoting is None:
            notes.append(
                f"{file.name}: double quotes are read as CSV quoting (quoting: none reads them as plain characters)"
            )
        elif rows.quotes.in_doubt:
            fields = f"{rows.quotes.in_doubt:,} field{'s' if rows.quotes.in_doubt > 1 else ''}"
            notes.append(
                f"{file.name}: {fields} in double quotes, kept as part of the text (quoting: csv removes them)"
            )
        if description.kind == "classification" and (trimmed := trimmed_labels(rows.columns[-1])):
            notes.append(f"{file.name}: blanks around {trimmed:,} label{'s' if trimmed > 1 else ''} are removed")
    return notes


def _class_notes(data: OwnData) -> list[str]:
    """Classes that have no row in a scored split."""
    counts = data.counts()
    notes = []
    for split in data.task.eval_splits:
        missing = [name for name in counts if not counts[name][split]]
        if missing:
            listed = ", ".join(map(repr, missing[:5])) + (", ..." if len(missing) > 5 else "")
            notes.append(f"no row of {split} has the label {listed}: the scores of this split do not cover it")
    return notes


def _metrics(path: Path, description: Description, labels: tuple[str, ...]) -> tuple[str, ...]:
    """The task's metrics, with the F1 of a class under its id and name."""
    if not labels:
        return tuple(description.metrics or description.known_metrics[:2])
    names = []
    for metric in description.metrics or description.known_metrics[:1]:
        # The class that an F1 is about, if the metric is one.
        class_name = description.positive if metric == "f1" else metric.removeprefix(F1_OF)
        if metric == "f1" and len(labels) != 2:
            raise DataError(
                f"{path}: metrics: f1 needs two classes, but there are {len(labels)}; use macro_f1, {F1_OF}CLASS, "
                "accuracy or matthews"
            )
        if class_name is None:
            raise DataError(
                f"{path}: metrics: f1 is the F1 of one class, and none is named; add positive: {labels[1]} or "
                f"positive: {labels[0]} (the class you want to detect, usually the rarer one), or use macro_f1"
            )

        # f1 and f1_of:CLASS become f1_of:ID:CLASS.
        if metric != "f1" and not metric.startswith(F1_OF):
            names.append(metric)
        elif class_name in labels:
            names.append(f1_of(labels.index(class_name), class_name))
        else:
            field = "positive" if metric == "f1" else "metrics"
            raise DataError(
                f"{path}: {field}: {class_name!r} is not a class; expected one of {', '.join(map(repr, labels))}"
            )
    if len(set(names)) != len(names):
        raise DataError(f"{path}: metrics: f1 and {F1_OF}{description.positive} are the same; keep one of them")
    return tuple(names)


def _refuse_identical_splits(path: Path, content: Sequence[Sequence[str]]) -> None:
    """Refuse two splits with the same bytes or the same split of the hub: training rows would be scored."""
    first: dict[str, str] = {}
    for split, source in content:
        other = first.setdefault(source, split)
        if other != split:
            raise DataError(
                f"{path}: {other} and {split} are the same data; name another file or split for one of them, or "
                "remove one and set held_out: 0.1"
            )


def _from_hub(path: Path, description: Description) -> dict[str, tuple[Path, Rows]]:
    """The hub's splits as rows. Neither ``datasets`` nor this function runs code from a data set."""
    import datasets

    hub = str(description.hub)
    if Path(hub).exists():
        raise DataError(f"{path}: hub={hub!r} is also a local folder or file; list its files under files")
    try:
        hub_splits = datasets.load_dataset(hub, description.config, revision=description.revision)
    except Exception as error:
        # The errors of datasets, huggingface_hub and the HTTP client share no base class.
        raise DataError(
            f"{path}: hub={hub!r} could not be loaded ({type(error).__name__}: {error}); to work without the hub, "
            "save the data as files and list them under files"
        ) from error

    raw = {}
    for split, name in description.splits.items():
        if name not in hub_splits:
            raise DataError(f"{path}: splits: {hub} has no split {name!r}, it has {', '.join(hub_splits)}")
        data, columns = hub_splits[name], []
        for column in (*description.texts, description.label):
            if column not in data.column_names:
                raise DataError(f"{path}: {hub} has no column {column!r}, it has {', '.join(data.column_names)}")
            names, values = getattr(data.features[column], "names", None), data[column][:]
            # Class ids on the hub become class names; -1 stands for a hidden label and stays.
            columns.append([names[v] if v in range(len(names)) else v for v in values] if names else values)
        if not len(data):
            raise DataError(f"{path}: split {name!r} of {hub} has no rows")
        raw[split] = (Path(f"{hub} {name}"), Rows("row", list(range(len(data))), columns))
    return raw


def _checked(description: Description, labels: tuple[str, ...], file: Path, rows: Rows) -> Split:
    for column, values in zip(description.texts, rows.columns[:-1], strict=True):
        wrong = [not isinstance(value, str) or not value.strip() for value in values]
        refuse(file, rows, column, values, wrong, "text", "fill it in or delete the row")
    if labels:
        return Split(rows.columns[:-1], class_ids(description, labels, file, rows))
    return Split(rows.columns[:-1], numbers(description, file, rows))


def _held_out(path: Path, train: Split, share: float, has_classes: bool) -> tuple[Split, Split]:
    """Split train into train and dev."""
    texts = list(zip(*train.texts, strict=True))
    held = held_out_rows(texts, train.labels if has_classes else None, share)
    if not any(held):
        raise DataError(
            f"{path}: held_out leaves no row to score on, because no class has two different texts; add rows, or a "
            "file to score on"
        )
    return _rows_of(train, [not row for row in held]), _rows_of(train, held)


def _rows_of(split: Split, kept: Sequence[bool]) -> Split:
    texts = [[text for text, keep in zip(column, kept, strict=True) if keep] for column in split.texts]
    return Split(texts, [label for label, keep in zip(split.labels, kept, strict=True) if keep])


def _check_learnable(path: Path, labels: tuple[str, ...], train: Split) -> None:
    if not train.labels:
        raise DataError(f"{path}: held_out leaves no row to train on; add rows, or a file to score on")
    if not labels and min(train.labels) == max(train.labels):
        raise DataError(f"{path}: every row of train has the label {train.labels[0]:g}; there is nothing to learn")
    trained = set(train.labels)
    missing = [name for index, name in enumerate(labels) if index not in trained]
    if missing:
        raise DataError(
            f"{path}: no row of train has the label {', '.join(map(repr, missing))}; remove it from labels, or check "
            "its spelling in the data"
        )
