"""How a training is optimised: its length, batches and rates, as transformers' Trainer takes them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

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
    """Share of the steps over which the rate rises."""
    weight_decay: float
    seed: int
    warmdown: float | None = None
    """Last share of the steps, over which the rate falls to 0; before it, it is flat. None: it falls from the end of
    the warm-up on."""
    muon_learning_rate: float | None = None
    """Peak rate of Muon for the matrices of linears (``muon``). None: AdamW for every parameter."""
    averaging: float = 0
    """Decay of the exponential average of the weights that ends the training (``averaged_weights``); 0: none."""
    progressive: float = 0
    """First share of the steps in which weights have more bits (``progressive_bits``)."""
    norm_steps: int = 0
    """First steps, over which the norms of inputs are blended in; a training without them, or after them, has 0."""

    @property
    def warmup_steps(self) -> int:
        return int(self.warmup * self.steps)

    @property
    def warmdown_steps(self) -> int | None:
        """Rounded to whole steps, and no more than the warm-up leaves; None without a ``warmdown``."""
        if self.warmdown is None:
            return None
        return min(round(self.warmdown * self.steps), self.steps - self.warmup_steps)


def schedule_of(step: Step, recipe: Recipe, steps_per_epoch: int) -> Schedule:
    """Return the schedule of one step of a recipe's chain.

    What goes beyond XTC holds for students alone, ``progressive`` and ``norm_steps`` for the first stage of
    their low-bit phase.
    """
    steps = step.optimiser_steps(steps_per_epoch)
    plain = Schedule(
        steps=steps,
        batch_size=recipe.batch_size,
        learning_rate=step.learning_rate,
        warmup=recipe.warmup,
        weight_decay=recipe.weight_decay,
        seed=recipe.seed,
    )
    if step.phase == "teacher":
        return plain
    begins = step.phase == "quantise" and step.part[0] == 0
    decay = recipe.student_weight_decay
    return replace(
        plain,
        weight_decay=recipe.weight_decay if decay is None else decay,
        warmdown=recipe.warmdown,
        muon_learning_rate=recipe.muon_learning_rate if recipe.optimizer == "muon" else None,
        averaging=recipe.averaging,
        progressive=recipe.progressive if begins else 0,
        norm_steps=int(recipe.warmup * steps) if begins and recipe.input_norm == RMS else 0,
    )


def arguments_of(schedule: Schedule, precision: Precision, folder: Path) -> TrainingArguments:
    """Return the arguments of transformers' Trainer."""
    # transformers' schedule is warm-up, flat, then a fall to 0; without a warm-down it has no flat part.
    falling: dict[str, Any] = {"lr_scheduler_type": "linear"}
    if schedule.warmdown_steps is not None:
        shape = {"num_decay_steps": schedule.warmdown_steps, "decay_type": "linear"}
        falling = {"lr_scheduler_type": "warmup_stable_decay", "lr_scheduler_kwargs": shape}

    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=schedule.steps,
        per_device_train_batch_size=schedule.batch_size,
        learning_rate=schedule.learning_rate,
        warmup_steps=schedule.warmup_steps,
        weight_decay=schedule.weight_decay,
        max_grad_norm=1.0,
        **falling,
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
