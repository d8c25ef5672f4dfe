"""A data set of your own, read from its files or the hub, checked row by row, and made into a task.

The task's name is ``own-NAME-HASH``. The hash covers the description (not its ``question``, nor where the files lie)
and the bytes of the files, so that a run is never scored on other data than it says. What is on the hub is fixed by
``revision`` alone.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xtc_study.recipe import digest
from xtc_study.tasks.description import Description, read_description
from xtc_study.tasks.rows import Rows, read_rows
from xtc_study.tasks.task import PAIR, SENTENCE, DataError, Task, as_dataset

if TYPE_CHECKING:
    from datasets import DatasetDict

PREFIX = "own-"
SHOWN = 5
"""How many further wrong rows an error names."""
LARGEST = 3.4e38
"""What a label may be at most: models are trained in float32, where more is infinite."""


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


def read_own(path: Path) -> OwnData:
    """The data set that a YAML file describes, with every row checked. What was read before is not read again.

    Raises:
        DataError: no such file, a description or rows that are not well formed. The message names file, line or row,
            column, value and fix.
    """
    description = read_description(path)
    files = [path.parent / name for name in description.files.values()]
    return _read(path, description.model_dump_json(), tuple(_stamp(file) for file in files))


def _stamp(file: Path) -> tuple[str, int, int]:
    try:
        about = file.stat()
    except OSError:
        return str(file), 0, 0
    return str(file), about.st_size, about.st_mtime_ns


@lru_cache(maxsize=8)
def _read(path: Path, description_json: str, stamps: tuple[tuple[str, int, int], ...]) -> OwnData:
    description = Description.model_validate_json(description_json)
    if description.hub:
        raw = _from_hub(path, description)
        content: Any = [[split, name] for split, name in description.splits.items()]
    else:
        columns = [*description.texts, description.label]
        files = {split: path.parent / name for split, name in description.files.items()}
        raw = {split: (file, read_rows(file, columns)) for split, file in files.items()}
        content = [[split, hashlib.sha256(file.read_bytes()).hexdigest()] for split, (file, _) in raw.items()]
    _refuse_twins(path, content)
    labels = _class_names(path, description, *raw["train"])
    splits = {split: _checked(description, labels, file, rows) for split, (file, rows) in raw.items()}
    if description.held_out is not None:
        splits["train"], splits["dev"] = _held_out(splits["train"], description.held_out)
    _every_class_is_trained(path, labels, splits["train"])
    identity = {**description.model_dump(mode="json", exclude={"question", "files", "splits"}), "content": content}
    task = Task(
        name=f"{PREFIX}{description.name}-{digest(identity)}",
        question=description.question or f"Your own data: {description.name}.",
        text_fields=SENTENCE if len(description.texts) == 1 else PAIR,
        labels=labels,
        metrics=tuple(description.metrics or description.known_metrics[: 1 if labels else 2]),
        eval_splits=tuple(split for split in splits if split != "train"),
        train_rows=len(splits["train"].labels),
    )
    if "f1" in task.metrics and len(labels) != 2:
        raise DataError(f"{path}: metrics: f1 needs two classes, here are {len(labels)}; use accuracy or matthews")
    return OwnData(task, splits)


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


def _class_names(path: Path, description: Description, file: Path, rows: Rows) -> tuple[str, ...]:
    """The classes in the order of their ids; none for a regression."""
    if description.kind == "regression":
        return ()
    if description.labels:
        return tuple(description.labels)
    values, column = rows.columns[-1], description.label
    _refuse(file, rows, column, values, [_label_text(v) is None for v in values], "a label", "fill it in")
    found = {str(_label_text(value)) for value in values}
    if len(found) < 2 or len(found) > max(len(rows.numbers) // 2, 2):
        raise DataError(
            f"{file}, column {column!r}: {len(found)} different values in {len(rows.numbers)} rows, "
            "expected at least 2 classes with a few rows each; is this the column of labels, or kind: regression?"
        )
    whole = all(text.removeprefix("-").isdecimal() for text in found)
    return tuple(sorted(found, key=lambda text: (int(text) if whole else 0, text)))


def _label_text(value: Any) -> str | None:
    """A label as text, as a description writes it: 1 for 1.0, true for True; None where there is none."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return None if math.isnan(value) else str(int(value)) if value.is_integer() else str(value)
    return str(value) if isinstance(value, int) or (isinstance(value, str) and value.strip()) else None


def _checked(description: Description, labels: tuple[str, ...], file: Path, rows: Rows) -> Split:
    for column, values in zip(description.texts, rows.columns[:-1], strict=True):
        wrong = [not isinstance(value, str) or not value.strip() for value in values]
        _refuse(file, rows, column, values, wrong, "text", "write it or delete the row")
    column, values = description.label, rows.columns[-1]
    if not labels:
        numbers = [_number(value) for value in values]
        _refuse(
            file,
            rows,
            column,
            values,
            [n is None for n in numbers],
            f"a number, of {LARGEST:g} at most",
            "mend it or delete the row",
        )
        return Split(rows.columns[:-1], numbers)
    ids = {name: index for index, name in enumerate(labels)}
    found = [ids.get(_label_text(value) or "") for value in values]
    fix = "mend it, or change labels in the description"
    if not description.labels:
        fix = "mend it: it is none of the labels found in train"
    expected = f"one of {', '.join(map(repr, labels[:20]))}{', ...' if len(labels) > 20 else ''}"
    _refuse(file, rows, column, values, [index is None for index in found], expected, fix)
    return Split(rows.columns[:-1], found)


def _number(value: Any) -> float | None:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):  # OverflowError: a whole number of hundreds of digits
        return None
    return number if abs(number) <= LARGEST else None  # never true of nan


def _refuse(
    file: Path, rows: Rows, column: str, values: list[Any], wrong: Sequence[bool], expected: str, fix: str
) -> None:
    """Raises an error that names the first wrong value and where the others are, if there are any."""
    places = [place for place, is_wrong in enumerate(wrong) if is_wrong]
    if not places:
        return
    value, others = repr(values[places[0]]), [str(rows.numbers[place]) for place in places[1:]]
    also = ""
    if others:
        more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
        also = f" (wrong too: {rows.unit} {', '.join(others[:SHOWN])}{more})"
    shown = value if len(value) <= 60 else f"{value[:60]}..."
    raise DataError(
        f"{file}, {rows.unit} {rows.numbers[places[0]]}, column {column!r}: {shown}, expected {expected}{also}; {fix}"
    )


def _held_out(train: Split, share: float) -> tuple[Split, Split]:
    """Train and dev. Rows of the same text stay together; which go to dev depends on the texts alone."""
    keys = list(zip(*train.texts, strict=True))
    order = sorted(set(keys), key=lambda key: hashlib.sha256("\0".join(key).encode()).digest())
    dev = set(order[: max(round(share * len(order)), 1)])
    return _rows_of(train, [key not in dev for key in keys]), _rows_of(train, [key in dev for key in keys])


def _rows_of(split: Split, kept: Sequence[bool]) -> Split:
    texts = [[text for text, keep in zip(column, kept, strict=True) if keep] for column in split.texts]
    return Split(texts, [label for label, keep in zip(split.labels, kept, strict=True) if keep])


def _every_class_is_trained(path: Path, labels: tuple[str, ...], train: Split) -> None:
    if not train.labels:
        raise DataError(f"{path}: held_out leaves no row to train on; add rows, or a file to score on")
    trained = set(train.labels)
    missing = [name for index, name in enumerate(labels) if index not in trained]
    if missing:
        raise DataError(
            f"{path}: no row of train has the label {', '.join(map(repr, missing))}; take it out of labels, or check "
            "how the data write it"
        )
