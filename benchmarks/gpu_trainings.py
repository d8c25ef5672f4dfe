"""The sections of gpu_paths.py that train in their own process: one training a lesson, graphs, a resumed training."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datasets import DatasetDict
from gpu_findings import Findings

from xtc_study.deploy.evaluate import measure
from xtc_study.places import Compute, Places
from xtc_study.recipe import Recipe
from xtc_study.runs.environment import CUDA_GRAPHS
from xtc_study.tasks.catalogue import load_task
from xtc_study.training import checkpoints
from xtc_study.training import pipeline as pipeline_module
from xtc_study.training.graphed_step import GraphedSteps
from xtc_study.training.pipeline import Pipeline

TRAIN_ROWS, DEV_ROWS = 72, 64
"""Of the lessons: at 16 rows a batch the last batch of an epoch is half full."""
BASE: dict[str, Any] = {
    "task": "toy-inference", "batch_size": 16, "max_length": 48, "teacher_epochs": 2, "teacher_learning_rate": 1e-3,
    "layers": "1/2", "reduce_epochs": 1, "epochs": 2, "learning_rate": 5e-4,
}  # fmt: skip
LESSONS: dict[str, dict[str, Any]] = {
    "teacher, reduction, one stage at 1 bit": {},
    "two stages": {"stages": 2},
    "three stages": {"stages": 3},
    "labels alone": {"stages": 0},
    "full precision": {"weight_bits": 32, "activation_bits": 32},
    "steps in fp32": {"precision": "fp32"},
    "2 bits in groups": {"weight_bits": 2, "granularity": "group:16"},
    "learned scales, levels without a zero": {
        "weight_bits": 2,
        "two_bit_levels": "odd",
        "granularity": "row",
        "weight_scale": "learned",
    },
    "static ranges": {"activation_scale": "tensor", "activation_range": "static"},
    "padding in the loss": {"pad_in_loss": True},
    "teacher's dropout": {"teacher_dropout": True},
    "quantised attention": {"quantise_attention": True},
    "normalised inputs": {"input_norm": "rms"},
    "other starts": {"weight_start": "least-squares", "word_start": "static"},
    "augmentation with synonyms": {"task": "toy-acceptability", "augmentation": "synonyms", "augmentation_copies": 2},
    "narrow layers": {"ffn": "1/2"},
    "own vocabulary, every table": {"vocabulary": "task", "quantise_tables": True},
    "a regression": {"task": "toy-similarity"},
    "attention maps and labels": {"attention_loss": "maps", "label_weight": 0.5, "temperature": 2},
    "relations": {"attention_loss": "relations", "hidden_weight": 0.5},
    "teacher intervention": {"intervention": 0.6},
    "teacher intervention alone": {"intervention": 0.6, "attention_weight": 0},
    "Muon, warm-down, averages, a progressive start": {
        "optimizer": "muon", "warmdown": 0.3, "averaging": 0.9, "progressive": 0.5, "student_weight_decay": 0,
    },
}  # fmt: skip
CAPTURED = (
    "teacher, reduction, one stage at 1 bit", "two stages", "full precision", "2 bits in groups", "static ranges",
    "teacher's dropout", "quantised attention", "normalised inputs", "a regression", "attention maps and labels",
    "relations", "teacher intervention", "teacher intervention alone",
    "learned scales, levels without a zero", "Muon, warm-down, averages, a progressive start",
)  # fmt: skip
"""Lessons trained with and without graphs."""
LONGER = {"epochs": 4}
RESUME_AT = 7
"""The step at which a training of ten is cut off, one after its last checkpoint."""
CURVE_TOLERANCE = 0.01
"""Largest relative difference of two loss curves that count as equal. On a GPU gradients of the word table are summed
in any order, so that last bits differ from run to run."""


def lessons(found: Findings) -> None:
    failed = []
    with little_data():
        for number, (name, fields) in enumerate(LESSONS.items()):
            started = time.monotonic()
            try:
                pipeline = pipeline_of(found, found.workdir / "lessons", fields)
                teacher, student = pipeline.teacher(), pipeline.student()
                evaluation = measure(pipeline, teacher, student, found.workdir / f"file-{number}")
                assert all(math.isfinite(point["value"]) for point in evaluation.curve)
                result: Any = {key: evaluation.metrics[key] for key in ("reload_difference", "size_bytes")}
                result["score"] = evaluation.metrics["rows"][0]["value"]
            except Exception as error:  # the other lessons still count
                failed.append(name)
                result = {"error": f"{type(error).__name__}: {error}"[:500]}
            found.note(**{name: {**result, "seconds": round(time.monotonic() - started, 1)}})
    right = len(LESSONS) - len(failed)
    wrong = f"; not: {', '.join(failed)}" if failed else ""
    found.note(said=f"{right} of {len(LESSONS)} lessons end with reload difference 0{wrong}")
    assert not failed, failed


def graphs(found: Findings) -> None:
    """Graphed and plain loss curves agree, and most steps that may be captured are replays."""
    if found.device != "cuda":
        return found.skip("CUDA graphs need a CUDA GPU")
    differ = {}
    with little_data():
        for name in CAPTURED:
            curves, replays = [], 0
            for switch in ("0", "1"):
                os.environ[CUDA_GRAPHS] = switch
                with replayed() as taken:
                    pipeline = pipeline_of(found, found.workdir / f"graphs-{switch}", {**LESSONS[name], **LONGER})
                    curves.append([*pipeline.teacher().curve, *pipeline.student().curve])
                replays = sum(taken)
                assert bool(replays) == (switch == "1"), f"{name}: {replays} replays at {CUDA_GRAPHS}={switch}"
            differ[name] = curves_differ(*curves)
            found.note(**{name: {"curve_difference": differ[name], "steps": len(taken), "replays": replays}})
    found.note(said=f"loss curves with and without graphs differ by at most {max(differ.values()):.2g}")
    wrong = [name for name, difference in differ.items() if difference > CURVE_TOLERANCE]
    assert not wrong, f"curves with and without graphs differ: {', '.join(wrong)}"


@contextlib.contextmanager
def replayed() -> Iterator[list[bool]]:
    """Give, for each step that ``GraphedSteps`` was offered inside the block, whether it replayed a graph."""
    take, taken = GraphedSteps.take, []

    def counted(self: GraphedSteps, inputs: Any, mode: Any = None) -> Any:
        losses = take(self, inputs, mode)
        taken.append(losses is not None)
        return losses

    GraphedSteps.take = counted  # type: ignore[method-assign]
    try:
        yield taken
    finally:
        GraphedSteps.take = take  # type: ignore[method-assign]


def resume(found: Findings) -> None:
    with little_data():
        cut = pipeline_of(found, found.workdir / "cut", {"layers": None})
        cut.teacher()
        shutil.copytree(found.workdir / "cut", found.workdir / "whole")  # the same teacher, to the last bit
        whole = pipeline_of(found, found.workdir / "whole", {"layers": None}).student()
        checkpoints.CHECKPOINT_SECONDS = 0.0  # a checkpoint after each step
        try:
            with each_step(stop_at=RESUME_AT):
                cut.student()
            raise AssertionError("the training was not cut off")
        except KeyboardInterrupt:
            pass
        with each_step() as steps:
            again = cut.student()

    assert steps[0] == RESUME_AT, f"resumed with step {steps[0]}, not {RESUME_AT}"
    off, state = curves_differ(whole.curve, again.curve), whole.model.state_dict()
    weights = max(
        float((state[name].float() - one.float()).abs().max()) for name, one in again.model.state_dict().items()
    )
    found.note(curve_difference=off, largest_weight_difference=weights)
    found.note(said=f"curves differ by {off:.2g}, weights by at most {weights:.2g}")
    assert off <= CURVE_TOLERANCE, f"the resumed curve differs by {off:.2g}"


@contextlib.contextmanager
def each_step(stop_at: int | None = None) -> Iterator[list[int]]:
    """Give the numbers of the optimiser steps of trainings inside the block; cut the training off at one."""
    ended, steps = checkpoints.SaveByTheClock.on_step_end, []

    def on_step_end(self: Any, args: Any, state: Any, control: Any, **more: Any) -> None:
        ended(self, args, state, control, **more)
        steps.append(state.global_step)
        if state.global_step == stop_at:
            raise KeyboardInterrupt

    checkpoints.SaveByTheClock.on_step_end = on_step_end
    try:
        yield steps
    finally:
        checkpoints.SaveByTheClock.on_step_end = ended


def pipeline_of(found: Findings, results: Path, fields: dict[str, Any]) -> Pipeline:
    """Make the pipeline of a lesson; ``precision`` is no field of a recipe."""
    recipe, compute = {**BASE, **fields}, Compute(found.device, fields.get("precision", "auto"))
    recipe.pop("precision", None)
    return Pipeline(Recipe.of(**recipe), Places(results / compute.precision), compute)


@contextlib.contextmanager
def little_data() -> Iterator[None]:
    """Give pipelines a few rows of each generated task inside the block."""

    def little(name: str, data_dir: Any, files: Any) -> Any:
        counts = {"train": TRAIN_ROWS}
        text = load_task(name, data_dir, files)
        return DatasetDict({split: rows.select(range(counts.get(split, DEV_ROWS))) for split, rows in text.items()})

    pipeline_module.load_task = little
    try:
        yield
    finally:
        pipeline_module.load_task = load_task


def curves_differ(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> float:
    """Return the largest difference of two loss curves at the same step, relative to the larger value; inf if their
    points are of other steps or terms."""
    keys = ("phase", "stage", "step", "term")
    left, right = (
        {tuple(point.get(key) for key in keys): point["value"] for point in curve} for curve in (one, other)
    )
    if left.keys() != right.keys():
        return math.inf
    return max(
        (
            abs(left[key] - right[key]) / max(abs(left[key]), abs(right[key]), 1e-9)
            for key in left
            if key[3] != "dev score"
        ),
        default=0.0,
    )
