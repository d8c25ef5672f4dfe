"""Export a run's file: the packed folder, optionally with another ``rest``, or the model as ONNX or OpenVINO."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xtc_study.deploy.export.card import write_export_card
from xtc_study.deploy.export.parity import Agreement
from xtc_study.deploy.model_card import write_card
from xtc_study.deploy.sample_inputs import Batch, input_names, task_batches
from xtc_study.model_folder import CONFIG, WEIGHTS
from xtc_study.packed.checkpoint import repack
from xtc_study.packed.checksums import CHECKSUMS
from xtc_study.packed.loading import load
from xtc_study.packed.text_length import FIELD, TOKENIZER_CONFIG, longest_text, write_length
from xtc_study.recipe import Recipe
from xtc_study.runs.find import DoneRun
from xtc_study.tasks.batches import Padding, tokenize
from xtc_study.tasks.catalogue import find_task, load_task
from xtc_study.training.predict import scores


def export_packed(
    run: DoneRun,
    folder: Path,
    rest: str | None = None,
    data_dir: Path | None = None,
    task_files: Sequence[Path] = (),
) -> dict[str, Any]:
    """Copy the run's packed folder, and return its metrics.

    Args:
        run: the run to export.
        folder: the new folder.
        rest: store unpacked tensors in this format instead. This changes the logits slightly, so the new file is
            scored again on the task's dev splits.
        data_dir: a folder in the GLUE download layout, for the scoring; None loads from the hub.
        task_files: descriptions of your own data sets, for the scoring.

    Raises:
        ValueError: ``folder`` exists, ``rest`` cannot store a number, or the data was not found.
        CheckpointError: the run's file is damaged.
    """
    metrics, recipe = run.metrics, run.recipe
    with _new_folder(folder):
        load(run.model, "torch")  # never export a damaged file
        shutil.copytree(run.model, folder)
        if rest is not None and rest != recipe.rest:
            recipe = recipe.model_copy(update={"rest": rest})
            size = repack(run.model, folder, rest)
            rows = rescored(folder, recipe, metrics["rows"], data_dir, task_files)
            metrics = {**metrics, "rows": rows, "size_bytes": size}
            write_card(folder, recipe, metrics, run.primary_metric)
    return metrics


def rescored(
    folder: Path, recipe: Recipe, rows: list[dict[str, Any]], data_dir: Path | None, task_files: Sequence[Path] = ()
) -> list[dict[str, Any]]:
    """Return a run's rows with the scores of another file of the same student.

    Args:
        folder: the other file's packed folder.
        recipe: the student's recipe.
        rows: the rows of the run's metrics.json.
        data_dir: as for ``export_packed``.
        task_files: as for ``export_packed``.
    """
    from transformers import AutoTokenizer

    task = find_task(recipe.task, task_files)
    text = load_task(recipe.task, data_dir, task_files)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    model = load(folder)
    # Cut as in the run's own scoring, and never beyond the model's positions.
    longest = min(recipe.max_length, longest_text(folder, model, tokenizer))
    dev = {split: tokenize(text[split], task, tokenizer, longest) for split in task.eval_splits}
    measured = scores(model, dev, Padding(tokenizer, task), task)
    return [{**row, "value": measured[row["split"]][row["metric"]]} for row in rows]


def export_runtime(
    run: DoneRun, folder: Path, kind: str, data_dir: Path | None = None, task_files: Sequence[Path] = ()
) -> tuple[Path, Agreement]:
    """Write ``model.onnx`` (int8) or ``model.xml`` (u2) with tokenizer, configuration and README.md beside it.

    Args:
        run: the run to export.
        folder: the new folder.
        kind: ``onnx`` or ``openvino``.
        data_dir: as for ``export_packed``.
        task_files: as for ``export_packed``.

    Returns:
        The file, and how its logits agree with the packed model's, on rows of the task's dev split, or on random pairs
        if the task's data cannot be read. They are not equal, because these runtimes round differently.

    Raises:
        ValueError: ``folder`` exists, the runtime is not installed, or ``data_dir`` or ``task_files`` are given and
            have no data of this task.
        ExportError: the file's predictions differ too much from the packed model's (``parity``). It is deleted.
    """
    from transformers import AutoTokenizer

    from xtc_study.deploy.export.onnx import to_onnx
    from xtc_study.deploy.export.openvino import to_openvino

    path = folder / ("model.onnx" if kind == "onnx" else "model.xml")
    with _new_folder(folder):
        # The file's inputs are those that both the tokenizer gives and the model uses.
        packed = load(run.model, "torch")
        tokenizer, names = None, input_names(packed)
        if (run.model / TOKENIZER_CONFIG).is_file():
            tokenizer = AutoTokenizer.from_pretrained(run.model, local_files_only=True, trust_remote_code=False)
            names = input_names(packed, tokenizer)
        longest = longest_text(run.model, packed, tokenizer)

        # Write the file, and refuse it if it does not agree with the packed model.
        batches = [] if tokenizer is None else _dev_rows(run.recipe, tokenizer, longest, names, data_dir, task_files)
        write: Callable[..., Agreement] = to_onnx if kind == "onnx" else to_openvino
        agreement = write(run.model, path, names=names, batches=batches)
        agreement.check(path.name)

        # The tokenizer, the configuration and the card go beside it.
        for file in run.model.iterdir():
            if file.name not in (WEIGHTS, CONFIG, "README.md"):
                shutil.copy(file, folder / file.name)
        if tokenizer is not None:
            write_length(folder, longest)
        write_plain_config(folder, packed, longest)
        write_export_card(path, run, names, longest, packed.config, agreement)
    return path, agreement


def _dev_rows(
    recipe: Recipe,
    tokenizer: Any,
    max_length: int,
    names: Sequence[str],
    data_dir: Path | None,
    task_files: Sequence[Path],
) -> list[Batch]:
    """Return rows of the task's first dev split; none if the data was not found and no place was given."""
    try:
        task = find_task(recipe.task, task_files)
        text = load_task(recipe.task, data_dir, task_files)
    except (ValueError, OSError):
        if data_dir is not None or task_files:
            raise
        return []
    return task_batches(text[task.eval_splits[0]], task, tokenizer, max_length, names)


def write_plain_config(folder: Path, packed: Any, max_length: int) -> None:
    """Write config.json without the fields of the packed format, for tools that read it.

    Args:
        folder: where it is written.
        packed: the packed model.
        max_length: maximum tokens of a text.
    """
    content = json.loads(packed.config.to_json_string(use_diff=False))
    content |= {FIELD: max_length}
    for field in ("quantization_config", CHECKSUMS, "xtc_attention_bits", "_name_or_path"):
        content.pop(field, None)
    (folder / CONFIG).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


@contextmanager
def _new_folder(folder: Path) -> Iterator[None]:
    """Check that the folder is new; if the block, which fills it, fails, delete it so that a retry can start."""
    if folder.exists():
        raise ValueError(f"{folder}: already exists; choose another folder or remove it")
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
