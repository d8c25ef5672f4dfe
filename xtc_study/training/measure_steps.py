"""Measure training steps of a model on this machine, with random batches, to estimate the cost of trainings."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from xtc_study.compress.distillation.attention_scores import hook_attention_scores
from xtc_study.compress.distillation.dropout import cheap_dropout
from xtc_study.compress.distillation.losses import ATTENTION, HIDDEN, LABELS, LOGITS
from xtc_study.compress.encoder_parts import positions
from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.compress.quantization.weights_together import weights_together
from xtc_study.compress.reduction.layers import layer_map
from xtc_study.hardware import forget_peak, processor, resident
from xtc_study.recipe import Recipe
from xtc_study.runs.step_times import StepTime, StepTimes
from xtc_study.training.graphed_step import CudaCapture, GraphedSteps, graphs_wanted
from xtc_study.training.objective import Objective, losses_of
from xtc_study.training.precision import Precision, choose_precision
from xtc_study.training.pretrained import untrained_encoder

LENGTHS = (32, 128)
REPEATS = 3
SETUP = 2
"""Calls before those that are measured: the first loads what it needs, the second captures a CUDA graph."""
TERMS = (ATTENTION, HIDDEN, LOGITS)


def measure_step_times(
    model: str,
    models_dir: Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    batch_size: int = 32,
    lengths: tuple[int, ...] = LENGTHS,
) -> StepTimes:
    """Return the median seconds of each kind of step, with random weights, and the peak memory of the last kind.

    Steps use the same contexts, losses, clipping and optimiser as ``stage.train``. On a CPU the memory is the growth
    of the process, which is correct only in a process that has done nothing large before.

    Args:
        model: a model's name, as in recipes.
        models_dir: folder of models; None: the hub's cache.
        device: auto, cpu, cuda or mps.
        precision: auto, fp32 or bf16.
        batch_size: rows per step.
        lengths: tokens per row; cut to what the model reads.

    Raises:
        ModelError: the model's configuration was not found.
        ValueError: this machine has no such device, or (EncoderError) the model returns no attention scores.
    """
    before = resident()
    teacher = untrained_encoder(model, models_dir)
    resolved = choose_precision(device, precision, teacher.config.hidden_size)
    lengths = tuple(min(length, positions(teacher)) for length in lengths)
    teacher.to(resolved.device).eval()

    # The teacher's forward pass alone, which plans subtract for steps on labels.
    points = []
    for length in lengths:
        with resolved.cast_once(teacher), hook_attention_scores(teacher):
            seconds = _median(_forward(teacher, batch_size, length, resolved), resolved.device)
        points.append(StepTime(kind="forward", length=length, seconds=seconds))

    # A new student for each kind of step, so that the memory of one does not include the optimiser state of another.
    peak: int | None = None
    for kind in ("teacher", "distil", "quantise"):
        student = untrained_encoder(model, models_dir)
        if kind == "quantise":
            make_low_bit(student, Recipe.of(task="cola", weight_bits=1))
        student.to(resolved.device).train()

        for length in lengths:
            if resolved.device == "cuda":
                torch.cuda.reset_peak_memory_stats()
            else:
                forget_peak()

            step = _step(student, None if kind == "teacher" else teacher, batch_size, length, resolved)
            with ExitStack() as stack:
                stack.enter_context(cheap_dropout(student))
                if resolved.device == "cuda":
                    stack.enter_context(weights_together(student))
                if kind != "teacher":
                    stack.enter_context(resolved.cast_once(teacher))
                    stack.enter_context(hook_attention_scores(student, teacher))
                seconds = _median(step, resolved.device)
            points.append(StepTime(kind=kind, length=length, seconds=seconds))

            if resolved.device == "cuda":
                peak = torch.cuda.max_memory_allocated()
            else:
                peak = max(resident("VmHWM") - before, 0) or None

    return StepTimes(
        model=model,
        depth=teacher.config.num_hidden_layers,
        batch_size=batch_size,
        device=_device_name(resolved.device),
        precision=resolved.name,
        peak_bytes=peak,
        card_bytes=torch.cuda.get_device_properties().total_memory if resolved.device == "cuda" else None,
        points=points,
    )


def _batch(model: Any, batch_size: int, length: int, device: str) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, model.config.vocab_size, (batch_size, length), generator=generator)
    return {"input_ids": ids.to(device), "attention_mask": torch.ones_like(ids).to(device)}


def _forward(teacher: Any, batch_size: int, length: int, precision: Precision) -> Callable[[], None]:
    inputs = _batch(teacher, batch_size, length, precision.device)

    def once() -> None:
        with torch.no_grad(), precision.autocast():
            teacher(**inputs, output_attentions=True, output_hidden_states=True)

    if not graphs_wanted(precision.device, pad_in_loss=False):
        return once
    once()  # before the capture, which must not load kernels
    graph, _ = CudaCapture()(once)
    return graph.replay


def _step(student: Any, teacher: Any, batch_size: int, length: int, precision: Precision) -> Callable[[], None]:
    """Return a function that takes one optimiser step: on labels, or with a teacher on every distillation term."""
    inputs = _batch(student, batch_size, length, precision.device)
    inputs["labels"] = torch.zeros(batch_size, dtype=torch.long, device=precision.device)
    fused = precision.device in ("cpu", "cuda")
    optimiser = torch.optim.AdamW(student.parameters(), lr=1e-6, fused=fused)
    layers = layer_map(student.config.num_hidden_layers, None)
    objective = Objective((LABELS,)) if teacher is None else Objective(TERMS, teacher, layers)

    def losses(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        others = {name: value for name, value in batch.items() if name != "labels"}
        return losses_of(objective, precision, student, others, batch["labels"])[1]

    graphed = GraphedSteps(student, losses) if graphs_wanted(precision.device, pad_in_loss=False) else None

    def once() -> None:
        if graphed is None or graphed.take(inputs) is None:
            torch.stack(list(losses(inputs).values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()

    return once


def _median(once: Callable[[], None], device: str) -> float:
    for _ in range(SETUP):
        once()
    seconds = []
    for _ in range(REPEATS):
        _wait(device)
        started = time.perf_counter()
        once()
        _wait(device)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def _wait(device: str) -> None:
    """Block until the device has finished its work."""
    if device == "cuda":
        torch.cuda.synchronize()
    elif device == "mps":
        torch.mps.synchronize()


def _device_name(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    return f"{processor()} CPU, {torch.get_num_threads()} threads" if device == "cpu" else f"{processor()} GPU"
