"""One training: transformers' Trainer with a distillation loss."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PrinterCallback, Trainer, TrainerCallback

from xtc_study.compress.distillation.attention_scores import hook_attention_scores
from xtc_study.compress.distillation.dropout import cheap_dropout
from xtc_study.compress.encoder_parts import positions
from xtc_study.compress.quantization.input_norm import blended
from xtc_study.compress.quantization.weights_together import weights_together
from xtc_study.tasks.batches import ROW
from xtc_study.training.averaged_weights import AveragedWeights
from xtc_study.training.batch_order import LengthGroupedSampler
from xtc_study.training.checkpoints import (
    Checkpoint,
    CurvePoint,
    History,
    SaveByTheClock,
    complete_checkpoint,
    last_checkpoint,
)
from xtc_study.training.graphed_step import Capture, GraphedSteps, PaddedTo, graphs_wanted
from xtc_study.training.intervention import Intervention, Standing, intervention_steps
from xtc_study.training.muon import MuonWithAdamW, muon_matrices
from xtc_study.training.norm_blend import NormBlend
from xtc_study.training.objective import Objective, losses_of
from xtc_study.training.precision import Precision
from xtc_study.training.progressive_bits import ProgressiveBits
from xtc_study.training.schedule import Schedule, arguments_of
from xtc_study.training.step_files import write_model
from xtc_study.training.teacher_outputs import TeacherOutputs, bytes_needed, memory_limit

EVALUATIONS = 5
"""How often the dev split is scored in one stage, at even intervals up to the last step."""
STEPS_BETWEEN_EVALUATIONS = 100
"""Minimum; a shorter stage is scored only at its end. The 2,000 dev rows of a generated task take as long as some 20
steps on a CPU."""

EPOCHS_WORTH_KEEPING = 2
"""Epochs from which keeping the teacher's outputs pays; a shorter training runs the teacher on each batch."""


def train(
    model: Any,
    rows: Any,
    padding: Callable[..., dict[str, Tensor]],
    objective: Objective,
    schedule: Schedule,
    precision: Precision,
    folder: Path,
    evaluate: Callable[[Any], float],
    capture: Capture | None = None,
) -> History:
    """Train ``model`` in place, and return its loss curve and training time.

    Args:
        model: in full precision or low-bit, on the training device.
        rows: encoded training rows.
        padding: collates rows into a batch.
        objective: loss terms and teacher.
        schedule: steps, batch size and rates.
        precision: the training device and its precision.
        folder: contains the checkpoints; an interrupted training resumes from the last one.
        evaluate: returns the model's primary dev score.
        capture: captures steps as graphs; None: CUDA's on a GPU, and none elsewhere.

    Raises:
        FloatingPointError: the loss became NaN or infinite; the message names term and step.
    """
    graphed = capture is not None or graphs_wanted(precision.device, objective.pad_in_loss)
    if graphed or (precision.device == "cuda" and not objective.pad_in_loss):
        padding = PaddedTo(padding, model, positions(model))
    trainer = _DistillationTrainer(
        model=model,
        args=arguments_of(schedule, precision, folder),
        train_dataset=rows,
        data_collator=padding,
        objective=objective,
        precision=precision,
        schedule=schedule,
        callbacks=[],
    )
    trainer.remove_callback(PrinterCallback)  # the curve is recorded instead
    if trainer.averaged is not None:
        trainer.add_callback(trainer.averaged)  # before the dev score, whose last point is the averages'
    trainer.add_callback(_DevScore(trainer, evaluate))
    trainer.add_callback(SaveByTheClock())
    trainer.resume(last := last_checkpoint(folder))

    with ExitStack() as stack:
        stack.enter_context(cheap_dropout(model))
        if precision.device == "cuda":
            stack.enter_context(weights_together(model))
        if schedule.norm_steps:
            trainer.add_callback(NormBlend(stack.enter_context(blended(model, precision.device)), schedule.norm_steps))
        if schedule.progressive:
            trainer.progressive = ProgressiveBits(model, schedule.progressive, schedule.steps)
            stack.callback(trainer.progressive.end)
        if objective.teacher is not None:
            objective.teacher.to(precision.device).train(objective.teacher_dropout).requires_grad_(False)
            stack.enter_context(precision.cast_once(objective.teacher))
        if objective.reads_attention:
            stack.enter_context(hook_attention_scores(model, objective.teacher))
        if graphed:
            trainer.graphed = GraphedSteps(model, trainer.loss_terms, capture)
        elif _worth_keeping(objective, rows, schedule, precision):
            trainer.keep_teacher_outputs()
        trainer.train(resume_from_checkpoint=last.path)
        trainer.graphed = None  # frees the memory of the graphs before the next training starts
    return trainer.history()


def _some(names: list[str]) -> str:
    return f"{len(names)} tensors" + (f" ({', '.join(names[:3])}, ...)" if names else "")


def _worth_keeping(objective: Objective, rows: Any, schedule: Schedule, precision: Precision) -> bool:
    """Return whether the teacher's outputs are kept: they are reused often enough, do not change and fit in memory.

    On a GPU the teacher's forward pass is cheaper than copying kept outputs to the device.
    """
    if not objective.needs_teacher or precision.device == "cuda":
        return False
    if objective.teacher_dropout or objective.pad_in_loss:
        return False
    steps = schedule.steps - intervention_steps(objective.intervention, schedule.steps)
    if steps * schedule.batch_size < EPOCHS_WORTH_KEEPING * len(rows):
        return False
    return bytes_needed(objective, rows["length"][:]) <= memory_limit()


class _DistillationTrainer(Trainer):
    """A Trainer whose loss is the weighted sum of an objective's terms.

    It records each term's mean between log points, without its weight, so that curves of other weights compare.
    """

    loss_is_scaled_for_ga = False

    def __init__(self, *, objective: Objective, precision: Precision, schedule: Schedule, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.objective, self.precision, self.schedule = objective, precision, schedule
        self.intervention = Intervention(objective.intervention, self.args.max_steps, precision.device)
        self.standing: Standing | None = None
        self.averaged = AveragedWeights(schedule.averaging) if schedule.averaging else None
        self.progressive: ProgressiveBits | None = None
        self.curve: list[CurvePoint] = []
        self.before = History([], 0.0)
        self.started = time.monotonic()
        self.sums: dict[str, Tensor] = {}
        self.counted = 0
        self.encoded: Any = arguments["train_dataset"]
        self.kept: TeacherOutputs | None = None
        self.graphed: GraphedSteps | None = None

    def resume(self, last: Checkpoint) -> None:
        """Restore the curve, the loss sums and the averages; ``Trainer.train`` restores the weights."""
        self.before, self.curve, self.counted = last.history, last.history.curve, last.counted
        self.sums = {term: torch.tensor(total, device=self.precision.device) for term, total in last.sums.items()}
        if self.averaged is not None and last.path is not None:
            self.averaged.load(Path(last.path), self.model)

    def history(self) -> History:
        return History(self.curve, self.before.seconds + time.monotonic() - self.started)

    def keep_teacher_outputs(self) -> None:
        """Compute the teacher's outputs for every row once, before training."""
        rows = self.encoded
        self.kept = TeacherOutputs(self.objective, rows, self.data_collator, self.precision)
        self.train_dataset = rows.add_column(ROW, range(len(rows)))

    def create_optimizer(self, *given: Any) -> torch.optim.Optimizer:
        optimizer: torch.optim.Optimizer = super().create_optimizer(*given)
        if self.schedule.muon_learning_rate is not None and not isinstance(optimizer, MuonWithAdamW):
            optimizer = MuonWithAdamW(optimizer, muon_matrices(self.model), self.schedule.muon_learning_rate)
            self.optimizer = optimizer
        return optimizer

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """As transformers', without the learned scales of low-bit weights: decay would shrink every weight."""
        return [name for name in super().get_decay_parameter_names(model) if not name.endswith(".weight_scale")]

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthGroupedSampler:
        rows = self.train_dataset if train_dataset is None else train_dataset
        return LengthGroupedSampler(rows["length"][:], self.args.per_device_train_batch_size, self.args.seed)

    def training_step(
        self, model: nn.Module, inputs: dict[str, Tensor], num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        self.standing = self.intervention.at(self.state.global_step)
        if self.progressive is not None:
            self.progressive.before(self.state.global_step)
        if self.graphed is not None:
            losses = self.graphed.take(self._prepare_inputs(inputs), self._mode())
            if losses is not None:
                self._count(losses.terms)
                return losses.total
        loss: Tensor = super().training_step(model, inputs, num_items_in_batch)
        return loss

    def _mode(self) -> tuple[str | None, int | None]:
        """What a step computes besides its batch; no mode returns once another has begun."""
        standing, progressive = self.standing, self.progressive
        return (standing.mode if standing else None, progressive.bits if progressive else None)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        labels, numbers = inputs.pop("labels"), inputs.pop(ROW, None)
        kept = None
        if self.kept is not None and numbers is not None and self.standing is None:
            kept = self.kept.of(numbers.tolist(), inputs["attention_mask"])
        outputs, losses = losses_of(self.objective, self.precision, model, inputs, labels, kept, self.standing)
        self._count({term: value.detach() for term, value in losses.items()})
        loss = torch.stack(list(losses.values())).sum()
        return (loss, outputs) if return_outputs else loss

    def loss_terms(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return each loss term of a batch, with its labels, for a step that is captured."""
        others = {name: value for name, value in inputs.items() if name != "labels"}
        labels, standing = inputs["labels"], self.standing
        return losses_of(self.objective, self.precision, self.model, others, labels, standing=standing)[1]

    def _count(self, losses: dict[str, Tensor]) -> None:
        """Add to the sums on the device: copying a number to the CPU at every step would wait for the device."""
        for term, value in losses.items():
            self.sums.setdefault(term, torch.zeros_like(value))
        torch._foreach_add_([self.sums[term] for term in losses], list(losses.values()))
        self.counted += 1

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Not counted: transformers would go through all modules at every step."""
        return 0

    def _get_num_items_in_batch(self, *batches: Any) -> None:
        """Not counted: every loss is a mean of its own."""

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """Write the model's tensors under the model's own names.

        transformers would write the names of the family's older checkpoints; on resume it would not find some of them
        and leave those tensors untrained.
        """
        write_model(self.model, Path(output_dir or str(self.args.output_dir)), state_dict)

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        if load_result.missing_keys or load_result.unexpected_keys:
            raise RuntimeError(
                f"a checkpoint lacks {_some(load_result.missing_keys)} and has {_some(load_result.unexpected_keys)} "
                "that the model does not have; rerun the same command to restart this training from its beginning"
            )

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        if self.averaged is not None:
            self.averaged.save(Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}")
        sums = {term: float(total) for term, total in self.sums.items()}
        complete_checkpoint(Path(self.args.output_dir), self.state.global_step, self.history(), sums, self.counted)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if self.counted:
            step = self.state.global_step
            for term, total in self.sums.items():
                value = float(total) / self.counted / self.objective.weight(term)
                if value != value or value in (float("inf"), float("-inf")):
                    raise FloatingPointError(
                        f"the {term} loss is {value} at step {step}: lower the learning rate "
                        f"(now {self.args.learning_rate:g})"
                    )
                self.curve.append({"step": step, "term": term, "value": value})
            if "learning_rate" in logs:
                self.curve.append({"step": step, "term": "learning rate", "value": logs["learning_rate"]})
            self.sums, self.counted = {}, 0
        super().log(logs, start_time)


class _DevScore(TrainerCallback):
    """Score the dev split at even intervals up to the last step."""

    def __init__(self, trainer: _DistillationTrainer, evaluate: Callable[[Any], float]) -> None:
        self.trainer, self.evaluate = trainer, evaluate
        steps = trainer.args.max_steps
        times = min(EVALUATIONS, max(steps // STEPS_BETWEEN_EVALUATIONS, 1))
        self.at = {-(-steps * (part + 1) // times) for part in range(times)}

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        if state.global_step in self.at:
            point = {"step": state.global_step, "term": "dev score", "value": self.evaluate(model)}
            self.trainer.curve.append(point)
