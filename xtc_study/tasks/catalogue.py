"""Find tasks by name and load their text."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from xtc_study.nearest import did_you_mean
from xtc_study.places import optional_file
from xtc_study.tasks.generated.toy import TOY_TASKS, load_toy
from xtc_study.tasks.glue import GLUE_TASKS, load_glue
from xtc_study.tasks.task import DataError, Task
from xtc_study.tasks.user.dataset import PREFIX, OwnData, read_own
from xtc_study.tasks.user.description import is_description

if TYPE_CHECKING:
    from datasets import DatasetDict

TASKS: dict[str, Task] = {**GLUE_TASKS, **TOY_TASKS}


def chosen_tasks(chosen: Sequence[str | Path]) -> tuple[list[str], list[Path]]:
    """Resolve tasks given by name or by the path of a description to task names and absolute paths.

    Warns if your own data are scored on texts that are also trained on.

    Returns:
        The name of every task, and the paths of the descriptions among them.

    Raises:
        DataError: a description, or the data it describes, is invalid.
        ValueError: no such file.
    """
    names, files = [], []
    for task in chosen:
        if is_description(task):
            files.append(optional_file(task, "task") or Path(task))
            data = read_own(files[-1])
            names.append(data.task.name)
            for split, rows in data.in_train_too().items():
                if rows:
                    overlap = (
                        f"{rows} of {len(data.splits[split].labels)} rows of {split} have a text that is also in train"
                    )
                    warnings.warn(f"{files[-1]}: {overlap}; their scores overstate quality on new text", stacklevel=2)
        else:
            names.append(str(task))
    return names, files


def find_task(name: str, files: Sequence[Path] = ()) -> Task:
    """Return the task of that name.

    Args:
        name: of a GLUE or generated task, or of your own data (``own-...``).
        files: descriptions of your own data sets (``tasks/user/dataset.py``).

    Raises:
        ValueError: no such task; the message lists the known ones.
        DataError: none of ``files`` describes a task of that name.
    """
    if name in TASKS:
        return TASKS[name]
    if name.startswith(PREFIX):
        return _own(name, files).task
    raise ValueError(
        f"task={name!r}: unknown; expected one of {', '.join(TASKS)}, or a file that describes your own data (.yml)"
        + did_you_mean(name, TASKS)
    )


def load_task(
    name: str, data_dir: Path | None = None, files: Sequence[Path] = (), train_only: bool = False
) -> DatasetDict:
    """Load the task's text: split ``train`` and the evaluation splits, with the columns ``Task`` documents.

    Args:
        name: as for ``find_task``.
        data_dir: a folder in the GLUE download layout; None loads GLUE from the hub. Generated tasks need neither.
        files: descriptions of your own data sets.
        train_only: leave out the evaluation splits.

    Raises:
        ValueError: no such task.
        DataError: missing or malformed data, or data that changed since the task was named.
    """
    find_task(name, files)
    if name in GLUE_TASKS:
        return load_glue(name, data_dir, train_only)
    text = _own(name, files).load() if name.startswith(PREFIX) else load_toy(name)
    for split in list(text) if train_only else ():
        if split != "train":
            del text[split]
    return text


def _own(name: str, files: Sequence[Path]) -> OwnData:
    if not files:
        raise DataError(
            f"task={name!r}: this name stands for your own data; choose it by its description: --task FILE.yml"
        )
    described = {}
    for file in files:
        data = read_own(file)
        if data.task.name == name:
            return data
        described[str(file)] = data.task.name
    others = ", ".join(f"{file} describes {other}" for file, other in described.items())
    raise DataError(
        f"task={name!r}: {others}; the description or its data changed since this run was planned: restore them, "
        "or plan again with --task FILE.yml"
    )
