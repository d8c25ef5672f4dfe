"""The eight GLUE tasks, loaded from the hub or from a folder in the GLUE download layout."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xtc_study.tasks.glue_tsv import Row, read_tsv
from xtc_study.tasks.task import PAIR, SENTENCE, DataError, Task, as_dataset

if TYPE_CHECKING:  # datasets takes a second to import, and planning needs only the registry
    from datasets import Dataset, DatasetDict

HUB_NAME = "nyu-mll/glue"
MAX_SCORE = 5.0
"""STS-B rates similarity from 0 to 5."""

ENTAILMENT = ("entailment", "not_entailment")

GLUE_TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            name="cola",
            question="Is this sentence acceptable English?",
            text_fields=SENTENCE,
            labels=("unacceptable", "acceptable"),
            metrics=("matthews", "accuracy"),
            train_rows=8_551,
            dev_rows=1_043,
            typical_length=13,
        ),
        Task(
            name="sst2",
            question="Is this film review negative or positive?",
            text_fields=SENTENCE,
            labels=("negative", "positive"),
            metrics=("accuracy",),
            train_rows=67_349,
            dev_rows=872,
            typical_length=17,
        ),
        Task(
            name="mrpc",
            question="Do these two sentences from the news say the same?",
            text_fields=PAIR,
            labels=("not_equivalent", "equivalent"),
            metrics=("accuracy", "f1"),
            train_rows=3_668,
            dev_rows=408,
            typical_length=58,
        ),
        Task(
            name="stsb",
            question="How similar in meaning are these two sentences, from 0 to 5?",
            text_fields=PAIR,
            labels=(),
            metrics=("pearson", "spearman"),
            train_rows=5_749,
            dev_rows=1_500,
            typical_length=34,
        ),
        Task(
            name="qqp",
            question="Do these two questions ask the same?",
            text_fields=PAIR,
            labels=("not_duplicate", "duplicate"),
            metrics=("accuracy", "f1"),
            train_rows=363_846,
            dev_rows=40_430,
        ),
        Task(
            name="mnli",
            question="Does the first sentence entail the second, leave it open, or contradict it?",
            text_fields=PAIR,
            labels=("entailment", "neutral", "contradiction"),
            metrics=("accuracy",),
            eval_splits=("matched", "mismatched"),
            train_rows=392_702,
            dev_rows=9_815,
        ),
        Task(
            name="qnli",
            question="Does the second text answer the question in the first?",
            text_fields=PAIR,
            labels=ENTAILMENT,
            metrics=("accuracy",),
            train_rows=104_743,
            dev_rows=5_463,
        ),
        Task(
            name="rte",
            question="Does the first text entail the second?",
            text_fields=PAIR,
            labels=ENTAILMENT,
            metrics=("accuracy",),
            train_rows=2_490,
            dev_rows=277,
            typical_length=73,
        ),
    )
}
"""The tasks by name, labels in the order of the hub's ids. WNLI is left out, as in the papers that are reproduced.

The first metric is the one that enters the paper's average: accuracy for MRPC and QQP, Pearson for STS-B (see
``analysis.glue_average``). Typical lengths were measured with the vocabulary of bert-base-uncased.
"""


@dataclass(frozen=True)
class Source:
    """The names of one task's columns in each of the two sources."""

    folder: str
    """The task's folder in the GLUE download layout."""
    file_texts: tuple[str, ...]
    """The TSV columns that become the task's text fields."""
    file_label: str
    file_classes: tuple[str, ...]
    """The classes as the TSV files write them, in the order of their ids."""
    hub_texts: tuple[str, ...]
    header: tuple[str, ...] | None = None
    """Column names of files that have no header line."""


ZERO_ONE = ("0", "1")
COLA_HEADER = ("source", "label", "star", "sentence")

SOURCES: dict[str, Source] = {
    "cola": Source("CoLA", SENTENCE, "label", ZERO_ONE, SENTENCE, header=COLA_HEADER),
    "sst2": Source("SST-2", SENTENCE, "label", ZERO_ONE, SENTENCE),
    "mrpc": Source("MRPC", ("#1 String", "#2 String"), "Quality", ZERO_ONE, PAIR),
    "stsb": Source("STS-B", PAIR, "score", (), PAIR),
    "qqp": Source("QQP", ("question1", "question2"), "is_duplicate", ZERO_ONE, ("question1", "question2")),
    "mnli": Source("MNLI", PAIR, "gold_label", GLUE_TASKS["mnli"].labels, ("premise", "hypothesis")),
    "qnli": Source("QNLI", ("question", "sentence"), "label", ENTAILMENT, ("question", "sentence")),
    "rte": Source("RTE", PAIR, "label", ENTAILMENT, PAIR),
}

FILES = {"train": "train.tsv", "dev": "dev.tsv", "matched": "dev_matched.tsv", "mismatched": "dev_mismatched.tsv"}
HUB_SPLITS = {
    "train": "train",
    "dev": "validation",
    "matched": "validation_matched",
    "mismatched": "validation_mismatched",
}


def load_glue(name: str, data_dir: Path | None = None, train_only: bool = False) -> DatasetDict:
    """Load one GLUE task: split ``train`` and the evaluation splits, with its text fields, ``label`` and ``idx``.

    The test splits are left out: their labels are not public. Both sources give the same columns and types.

    Args:
        name: a key of ``GLUE_TASKS``; folders and hub names come from the registry, never from this text.
        data_dir: a folder in the GLUE download layout (CoLA/train.tsv, ...); None loads from the hub.
        train_only: leave out the evaluation splits; their files may be missing.

    Raises:
        DataError: unknown task; a folder or file that is missing or malformed (the message names the file and the
            line); or a hub that cannot be reached or returns unexpected data.
    """
    if name not in GLUE_TASKS:
        raise DataError(f"unknown GLUE task {name!r}; expected one of {', '.join(GLUE_TASKS)}")
    task, source = GLUE_TASKS[name], SOURCES[name]
    if train_only:
        task = replace(task, eval_splits=())
    return _from_hub(task, source) if data_dir is None else _from_folder(task, source, data_dir)


def _from_folder(task: Task, source: Source, data_dir: Path) -> DatasetDict:
    from datasets import DatasetDict

    folder = data_dir / source.folder
    if not folder.is_dir():
        raise DataError(_missing_folder_message(task, folder, data_dir))
    splits: dict[str, Dataset] = {}
    for split in ("train", *task.eval_splits):
        path = folder / FILES[split]
        rows = read_tsv(path, [*source.file_texts, source.file_label], source.header)
        texts = [[row.values[position] for row in rows] for position in range(len(task.text_fields))]
        if task.is_regression:
            labels: list[Any] = [_score(path, row) for row in rows]
        else:
            ids = {text: index for index, text in enumerate(source.file_classes)}
            labels = [_class_id(path, row, ids) for row in rows]
        splits[split] = as_dataset(task, texts, labels)
    return DatasetDict(splits)


def _missing_folder_message(task: Task, folder: Path, data_dir: Path) -> str:
    if not data_dir.is_dir():
        reason = f"{data_dir} does not exist or is not a folder"
    else:
        known = [other.folder for other in SOURCES.values() if (data_dir / other.folder).is_dir()]
        reason = f"of the GLUE folders, {data_dir} has: {', '.join(known) or 'none'}"
    return (
        f"{task.name}: no folder {folder} ({reason}); point --data-dir at the folder of the GLUE download, "
        f"the one that contains {folder.name}/"
    )


def _class_id(path: Path, row: Row, ids: dict[str, int]) -> int:
    text = row.values[-1]
    if text not in ids:
        raise DataError(
            f"{path}, line {row.line}: label {text!r}, expected one of {', '.join(map(repr, ids))}; "
            "the files of test splits have no labels; use the train and dev files"
        )
    return ids[text]


def _score(path: Path, row: Row) -> float:
    text = row.values[-1]
    try:
        score = float(text)
    except ValueError:
        score = float("nan")
    if not 0.0 <= score <= MAX_SCORE:  # also true for NaN
        raise DataError(f"{path}, line {row.line}: score {text!r}, expected a number from 0 to {MAX_SCORE:g}")
    return score


def _from_hub(task: Task, source: Source) -> DatasetDict:
    import datasets

    try:
        hub = datasets.load_dataset(HUB_NAME, task.name)
    except Exception as error:
        # The errors of datasets, huggingface_hub and the HTTP client share no base class.
        raise DataError(
            f"{task.name}: {HUB_NAME} could not be loaded from the hub ({type(error).__name__}: {error}); to work "
            "without the hub pass --data-dir FOLDER, a folder with the GLUE download layout "
            f"({source.folder}/train.tsv, ...)"
        ) from error

    splits: dict[str, Dataset] = {}
    for split in ("train", *task.eval_splits):
        if HUB_SPLITS[split] not in hub:
            raise DataError(f"{task.name}: {HUB_NAME} has no split {HUB_SPLITS[split]!r} (it has: {', '.join(hub)})")
        splits[split] = _from_hub_split(task, source, HUB_SPLITS[split], hub[HUB_SPLITS[split]])
    return datasets.DatasetDict(splits)


def _from_hub_split(task: Task, source: Source, split: str, data: Dataset) -> Dataset:
    where = f"{task.name}: split {split!r} of {HUB_NAME}"
    for column in (*source.hub_texts, "label"):
        if column not in data.column_names:
            raise DataError(f"{where} has no column {column!r} (it has: {', '.join(data.column_names)})")
    if not len(data):
        raise DataError(f"{where} has no rows; clear the datasets cache and load it again")
    # Ids in another order would train and score well, yet every report would name the wrong class.
    names = getattr(data.features["label"], "names", None)
    if names is not None and tuple(names) != task.labels:
        raise DataError(f"{where} has classes {', '.join(names)}; expected {', '.join(task.labels)}")

    labels = data["label"][:]
    for row, label in enumerate(labels):
        known = 0.0 <= label <= MAX_SCORE if task.is_regression else label in range(len(task.labels))
        if not known:
            allowed = f"0 to {MAX_SCORE:g}" if task.is_regression else f"an id from 0 to {len(task.labels) - 1}"
            raise DataError(f"{where}, row {row}: label {label}, expected {allowed}")
    return as_dataset(task, [data[column][:] for column in source.hub_texts], labels)
