"""A run's file to take away: the packed folder itself, with another ``rest`` if wished, or as ONNX or OpenVINO."""

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
from xtc_study.deploy.sample_inputs import Batch, input_names, of_task
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
    """Copies the run's packed folder, and returns its metrics.

    Args:
        rest: store what is not packed in this format instead. It changes the logits a little, so the new file is
            scored again, on the task's dev splits.
        data_dir: a folder in the GLUE download layout, for the scoring; None loads from the hub.
        task_files: descriptions of data sets of your own, likewise.

    Raises:
        ValueError: ``folder`` is there already; a number ``rest`` cannot hold; data that cannot be found.
        CheckpointError: the run's file is damaged.
    """
    metrics, recipe = run.metrics, run.recipe
    with _whole(folder):
        load(run.model, "torch")  # never hand out a damaged file
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
    """A run's rows with the values of another file of the same student."""
    from transformers import AutoTokenizer

    task = find_task(recipe.task, task_files)
    text = load_task(recipe.task, data_dir, task_files)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    model = load(folder)
    longest = min(
        recipe.max_length, longest_text(folder, model, tokenizer)
    )  # as it was scored, never past its positions
    dev = {split: tokenize(text[split], task, tokenizer, longest) for split in task.eval_splits}
    measured = scores(model, dev, Padding(tokenizer, task), task)
    return [{**row, "value": measured[row["split"]][row["metric"]]} for row in rows]


def export_runtime(
    run: DoneRun, folder: Path, kind: str, data_dir: Path | None = None, task_files: Sequence[Path] = ()
) -> tuple[Path, Agreement]:
    """Writes ``model.onnx`` (int8) or ``model.xml`` (u2) with tokenizer, configuration and README.md beside it.

    Returns the file and how its answers agree with the packed model's, on rows of the task's dev split; on random
    pairs where the task's data cannot be read. These runtimes round otherwise.

    Args:
        data_dir: where the task's data are, as for ``export_packed``.
        task_files: as for ``export_packed``.

    Raises:
        ValueError: ``folder`` is there already, the runtime is not installed, or ``data_dir`` or ``task_files`` are
            given and have no data of this task.
        ExportError: the file answers otherwise than the packed model (see ``parity``). It is not kept.
    """
    from transformers import AutoTokenizer

    from xtc_study.deploy.export.onnx import to_onnx
    from xtc_study.deploy.export.openvino import to_openvino

    path = folder / ("model.onnx" if kind == "onnx" else "model.xml")
    with _whole(folder):
        packed = load(run.model, "torch")
        tokenizer, names = None, input_names(packed)
        if (run.model / TOKENIZER_CONFIG).is_file():
            tokenizer = AutoTokenizer.from_pretrained(run.model, local_files_only=True, trust_remote_code=False)
            names = input_names(packed, tokenizer)
        longest = longest_text(run.model, packed, tokenizer)
        batches = [] if tokenizer is None else _dev_rows(run.recipe, tokenizer, longest, names, data_dir, task_files)
        write: Callable[..., Agreement] = to_onnx if kind == "onnx" else to_openvino
        agreement = write(run.model, path, names=names, batches=batches)
        agreement.check(path.name)
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
    """Rows of the task's first dev split; none where the data are in no known place."""
    try:
        task = find_task(recipe.task, task_files)
        text = load_task(recipe.task, data_dir, task_files)
    except (ValueError, OSError):
        if data_dir is not None or task_files:
            raise
        return []
    return of_task(text[task.eval_splits[0]], task, tokenizer, max_length, names)


def write_plain_config(folder: Path, packed: Any, max_length: int) -> None:
    """The architecture's configuration without what only a packed folder has, for tools that read config.json."""
    content = json.loads(packed.config.to_json_string(use_diff=False))
    content |= {FIELD: max_length}
    for field in ("quantization_config", CHECKSUMS, "xtc_attention_bits", "_name_or_path"):
        content.pop(field, None)
    (folder / CONFIG).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


@contextmanager
def _whole(folder: Path) -> Iterator[None]:
    """The block fills a new folder. If it fails the folder goes, so that it can be tried again."""
    if folder.exists():
        raise ValueError(f"{folder}: is there already; choose another folder or remove it")
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
