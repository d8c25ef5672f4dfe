"""Every task by name, and the loading of its text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from xtc_study.tasks.glue import GLUE_TASKS, load_glue
from xtc_study.tasks.task import Task
from xtc_study.tasks.toy import TOY_TASKS, load_toy

if TYPE_CHECKING:
    from datasets import DatasetDict

TASKS: dict[str, Task] = {**GLUE_TASKS, **TOY_TASKS}


def find_task(name: str) -> Task:
    """The task of that name.

    Raises:
        ValueError: no such task; the message lists them.
    """
    if name not in TASKS:
        raise ValueError(f"task={name!r}: unknown; expected one of {', '.join(TASKS)}")
    return TASKS[name]


def load_task(name: str, data_dir: Path | None = None) -> DatasetDict:
    """The task's text: a split ``train`` and its evaluation splits, with the columns ``Task`` documents.

    Args:
        data_dir: a folder in the GLUE download layout; None loads GLUE from the hub. Generated tasks need neither.

    Raises:
        ValueError: no such task.
        DataError: missing or malformed data.
    """
    find_task(name)
    return load_toy(name) if name in TOY_TASKS else load_glue(name, data_dir)
