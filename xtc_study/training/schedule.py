"""How a training is optimised: its length, batches and rates, as transformers' Trainer takes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from transformers import TrainingArguments

from xtc_study.chain import Step
from xtc_study.compress.quantization.input_norm import RMS
from xtc_study.recipe import Recipe
from xtc_study.training.precision import Precision

CURVE_POINTS = 40
"""Points of a loss curve."""


@dataclass(frozen=True)
class Schedule:
    """Length, batch size, rates and seed of a training."""

    steps: int
    batch_size: int
    learning_rate: float
    warmup: float
    weight_decay: float
    seed: int
    norm_steps: int = 0
    """First steps, over which the norms of inputs are blended in; a training without them, or after them, has 0."""


def schedule_of(step: Step, recipe: Recipe, steps_per_epoch: int) -> Schedule:
    """Return the schedule of one step of a recipe's chain."""
    steps = step.optimiser_steps(steps_per_epoch)
    blends = recipe.input_norm == RMS and step.phase == "quantise" and step.part[0] == 0
    return Schedule(
        steps=steps,
        batch_size=recipe.batch_size,
        learning_rate=step.learning_rate,
        warmup=recipe.warmup,
        weight_decay=recipe.weight_decay,
        seed=recipe.seed,
        norm_steps=int(recipe.warmup * steps) if blends else 0,
    )


def arguments_of(schedule: Schedule, precision: Precision, folder: Path) -> TrainingArguments:
    """Return the arguments of transformers' Trainer."""
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=schedule.steps,
        per_device_train_batch_size=schedule.batch_size,
        learning_rate=schedule.learning_rate,
        warmup_steps=int(schedule.warmup * schedule.steps),
        weight_decay=schedule.weight_decay,
        max_grad_norm=1.0,
        lr_scheduler_type="linear",
        optim="adamw_torch_fused" if precision.device in ("cpu", "cuda") else "adamw_torch",
        seed=schedule.seed,
        logging_steps=max(schedule.steps // CURVE_POINTS, 1),
        logging_nan_inf_filter=False,
        save_strategy="no",  # SaveByTheClock saves
        save_total_limit=None,  # complete_checkpoint removes older ones once the new one is complete
        report_to="none",
        disable_tqdm=True,
        use_cpu=precision.device == "cpu",
        dataloader_pin_memory=precision.device == "cuda",
        accelerator_config={"non_blocking": precision.device == "cuda"},  # a blocking copy waits for the last step
        remove_unused_columns=False,
    )

    # One GPU per training: with several, DataParallel would multiply the batch size.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments
