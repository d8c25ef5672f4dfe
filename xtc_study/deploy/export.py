"""A run's file to take away: the packed folder itself, with another ``rest`` if wished, or as ONNX or OpenVINO."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xtc_study.deploy.card import write_card
from xtc_study.deploy.checkpoint import repack
from xtc_study.deploy.loading import load
from xtc_study.recipe import Recipe
from xtc_study.runs.find import WEIGHTS, DoneRun
from xtc_study.tasks.batches import Padding, tokenised
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
            scored anew, on the task's dev splits.
        data_dir: a folder in the GLUE download layout, for the scoring; None loads from the hub.
        task_files: descriptions of data sets of your own, likewise.

    Raises:
        ValueError: ``folder`` is there already; a number ``rest`` cannot hold; the data are not to be had.
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
    dev = {split: tokenised(text[split], task, tokenizer, recipe.max_length) for split in task.eval_splits}
    measured = scores(load(folder), dev, Padding(tokenizer, task), task)
    return [{**row, "value": measured[row["split"]][row["metric"]]} for row in rows]


def export_runtime(run: DoneRun, folder: Path, kind: str) -> tuple[Path, float]:
    """Writes ``model.onnx`` (int8) or ``model.xml`` (u2) with the tokenizer and configuration beside it.

    Returns the file and the largest difference of its logits to the packed model's: these runtimes round otherwise.

    Raises:
        ValueError: ``folder`` is there already, or the runtime is not installed.
    """
    from xtc_study.deploy.export_onnx import to_onnx
    from xtc_study.deploy.export_openvino import to_openvino

    path = folder / ("model.onnx" if kind == "onnx" else "model.xml")
    with _whole(folder):
        difference = (to_onnx if kind == "onnx" else to_openvino)(run.model, path)
        for file in run.model.iterdir():
            if file.name not in (WEIGHTS, "README.md"):
                shutil.copy(file, folder / file.name)
    return path, difference


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
