"""Every task by name, and the loading of its text."""

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
    """The names of tasks that are chosen by name or by a description's path, and these paths, absolute.

    Warns of data of your own that are scored on texts they are trained on.

    Raises:
        DataError: a description, or data it describes, that is not sound. ValueError: no such file.
    """
    names, files = [], []
    for task in chosen:
        if is_description(task):
            files.append(optional_file(task, "task") or Path(task))
            data = read_own(files[-1])
            names.append(data.task.name)
            for split, rows in data.in_train_too().items():
                if rows:
                    many = f"{rows} of {len(data.splits[split].labels)} rows of {split} have a text that train has too"
                    warnings.warn(f"{files[-1]}: {many}; scores on them say little about new text", stacklevel=2)
        else:
            names.append(str(task))
    return names, files


def find_task(name: str, files: Sequence[Path] = ()) -> Task:
    """The task of that name.

    Args:
        files: descriptions of data sets of your own (``tasks/user/dataset.py``).

    Raises:
        ValueError: no such task; the message lists them. DataError: no description here gives that name.
    """
    if name in TASKS:
        return TASKS[name]
    if name.startswith(PREFIX):
        return _own(name, files).task
    raise ValueError(
        f"task={name!r}: unknown; expected one of {', '.join(TASKS)}, or a file that describes your own data (.yml)"
        + did_you_mean(name, TASKS)
    )


def load_task(name: str, data_dir: Path | None = None, files: Sequence[Path] = ()) -> DatasetDict:
    """The task's text: a split ``train`` and its evaluation splits, with the columns ``Task`` documents.

    Args:
        data_dir: a folder in the GLUE download layout; None loads GLUE from the hub. Generated tasks need neither.
        files: descriptions of data sets of your own.

    Raises:
        ValueError: no such task.
        DataError: missing or malformed data, or data that changed since the task was named.
    """
    find_task(name, files)
    if name.startswith(PREFIX):
        return _own(name, files).load()
    return load_toy(name) if name in TOY_TASKS else load_glue(name, data_dir)


def _own(name: str, files: Sequence[Path]) -> OwnData:
    if not files:
        raise DataError(f"task={name!r}: data of your own; choose it by its description: --task FILE.yml")
    found = {}
    for file in files:
        data = read_own(file)
        if data.task.name == name:
            return data
        found[str(file)] = data.task.name
    described = ", ".join(f"{file} describes {other}" for file, other in found.items())
    raise DataError(
        f"task={name!r}: {described}; the description or its data changed since this run was planned: put them back, "
        "or plan anew with --task FILE.yml"
    )
