"""Dry runs that were passed, so that one serves every seed: a note beside the steps, and one process at a time.

A dry run depends on shapes, losses and formats alone. Its note is ``steps/trials/HASH.json``, which holds no step.json
and so is no step. It saves time and decides nothing: without a note that can be read the dry run is repeated.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock

from xtc_study.atomic import write_file
from xtc_study.canonical import canonical_json, digest
from xtc_study.compress.method_version import METHOD_VERSION
from xtc_study.recipe import AUGMENTATION, Recipe

FOLDER = "trials"
NO_MATTER = (
    "seed",
    "batch_size",
    "teacher_epochs",
    "teacher_learning_rate",
    "reduce_epochs",
    "reduce_learning_rate",
    "epochs",
    "learning_rate",
    "warmup",
    "weight_decay",
    "teacher_dropout",
    "ffn_by",
    "vocabulary",
    *AUGMENTATION,
)
"""Fields of a recipe that ``dry_run`` does not look at: how long and on which rows it is trained."""


def dry_run_inputs(recipe: Recipe, model_files: Mapping[str, str | None]) -> dict[str, Any]:
    """What a dry run's outcome depends on.

    Args:
        recipe: what is to be trained.
        model_files: hashes of the models' files, by the field that names the model; None for one of the hub.
    """
    return {
        "recipe": {field: value for field, value in recipe.scientific().items() if field not in NO_MATTER},
        "model_files": dict(model_files),
        "method": METHOD_VERSION,
        "transformers": version("transformers"),
    }


@contextmanager
def dry_run_folder(steps: Path, what: Mapping[str, Any]) -> Iterator[Path | None]:
    """An empty folder on the disk that will hold the steps, or None where this dry run was passed before.

    Processes that need the same dry run wait for the one that makes it. If the block ends without an error the dry run
    is passed; if it raises, nothing stays of it, nor of ``steps`` if that is empty. ``xtc-study clean`` finds what a
    killed one leaves by its name, and sees by the lock whether a process uses it.
    """
    key = digest(what)
    note = steps / FOLDER / f"{key}.json"
    if _is_passed(note, what):
        yield None
        return

    steps.mkdir(parents=True, exist_ok=True)
    lock, workdir = steps / f"trial-{key}.lock", steps / f"trial-{key}.partial"
    try:
        with FileLock(lock):
            if _is_passed(note, what):
                yield None
                return

            shutil.rmtree(workdir, ignore_errors=True)
            workdir.mkdir()
            try:
                yield workdir
            finally:
                shutil.rmtree(workdir, ignore_errors=True)

            with suppress(OSError):  # the next run tries again
                note.parent.mkdir(exist_ok=True)
                write_file(note, json.dumps(what, indent=1, sort_keys=True))
    except BaseException:
        # A folder that this dry run alone brought into being goes with it.
        with suppress(OSError):
            if set(steps.iterdir()) <= {lock}:
                lock.unlink(missing_ok=True)
                steps.rmdir()
        raise


def _is_passed(note: Path, what: Mapping[str, Any]) -> bool:
    try:
        passed = json.loads(note.read_text(encoding="utf-8"))
        return canonical_json(passed) == canonical_json(what)
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return False
