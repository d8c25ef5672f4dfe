"""Remember dry runs that passed, so that one serves every seed, and let one process at a time make each.

A dry run depends only on shapes, losses and formats. A note, ``steps/trials/HASH.json``, records that it passed; it is
no step, because it has no step.json. If the note is missing or unreadable, the dry run is repeated.
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
from xtc_study.recipe_beyond import TRAINING

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
    *TRAINING,
    "progressive",
    "teacher_dropout",
    "ffn_by",
    "vocabulary",
    *AUGMENTATION,
)
"""Recipe fields that do not affect ``dry_run``: how long, and on which rows, the student is trained."""


def dry_run_inputs(recipe: Recipe, model_files: Mapping[str, str | None]) -> dict[str, Any]:
    """Return everything that a dry run's outcome depends on.

    Args:
        recipe: the recipe to train.
        model_files: hashes of the models' files, by the field that names the model; None for a hub model.
    """
    return {
        "recipe": {field: value for field, value in recipe.scientific().items() if field not in NO_MATTER},
        "model_files": dict(model_files),
        "method": METHOD_VERSION,
        "transformers": version("transformers"),
    }


@contextmanager
def dry_run_folder(steps: Path, what: Mapping[str, Any]) -> Iterator[Path | None]:
    """Yield an empty folder on the disk of the steps, or None if this dry run passed before.

    Processes that need the same dry run wait for the one that makes it. If the block ends without an error, the dry
    run has passed. If it raises, its folder is removed, and ``steps`` too if that is empty. ``xtc-study clean`` finds
    the remains of a killed dry run by name, and its lock shows whether a process still uses them.

    Args:
        steps: the folder of the steps.
        what: what ``dry_run_inputs`` returned.
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
        # Remove the folder of the steps if it contains nothing but this dry run's lock.
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
