"""Time our own training steps, run by ``training.stage.train``: distil + 1-bit, or plain fine-tuning on labels.

    python benchmarks/our_step.py FOLDER {distil,plain} [--device auto] [--precision auto] [--rounds 4]

A contender of train_step.py, which prepares the folder. It times a real training (Trainer, order of rows, padding,
losses, optimiser) from outside: a step ends when the next one starts. On a GPU most steps are replays of a CUDA graph
(XTC_CUDA_GRAPHS=0: none), in which the teacher's share cannot be told apart; the warm-up round captures most graphs.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from datasets import load_from_disk
from transformers import AutoModelForSequenceClassification
from turns import resident, seconds_between, serve, stamp

from xtc_study.chain import STAGE_TERMS
from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.recipe import Recipe
from xtc_study.tasks.batches import Padding
from xtc_study.tasks.catalogue import find_task
from xtc_study.training import schedule as schedules
from xtc_study.training import stage
from xtc_study.training.graphed_step import graphs_wanted
from xtc_study.training.objective import Objective
from xtc_study.training.precision import choose_precision
from xtc_study.training.pretrained import load_tokenizer
from xtc_study.training.schedule import Schedule
from xtc_study.training.stage import train

schedules.CURVE_POINTS = 1  # a short training would log after each step, a real one after hundreds


class Watch:
    """Record the starts of steps, and with hooks the times of the teacher's forward passes."""

    def __init__(self, teacher: Any, device: str) -> None:
        self.device = device
        self.starts: list[Any] = []
        self.teacher_outputs: list[Any] = []
        self.sizes: list[int] = []
        teacher.register_forward_pre_hook(self._teacher)
        teacher.register_forward_hook(self._teacher)
        trainer = stage._DistillationTrainer
        training_step = trainer.training_step

        def watched(this: Any, model: Any, inputs: dict[str, Any], *others: Any) -> Any:
            self.starts.append(stamp(self.device))
            self.sizes.append(inputs["input_ids"].numel())
            return training_step(this, model, inputs, *others)

        trainer.training_step = watched  # type: ignore[method-assign]

    def _teacher(self, *args: Any) -> None:
        self.teacher_outputs.append(stamp(self.device))


def trainings(folder: Path, kind: str, device: str, precision: str, rounds: int) -> Callable[[], dict[str, Any]]:
    """Return a function that trains for one warm-up round over the rows and then ``rounds`` measured ones.

    Args:
        folder: what train_step.py prepared.
        kind: ``distil`` or ``plain``.
        device: the training device.
        precision: auto, fp32 or bf16.
        rounds: measured passes over the rows.
    """
    # The models, on the training device.
    plan = json.loads((folder / "plan.json").read_text())
    task, rows = find_task(plan["task"]), load_from_disk(folder / "rows")
    tokenizer = load_tokenizer(str(folder / "teacher"))
    student, teacher = (
        AutoModelForSequenceClassification.from_pretrained(folder / name, dtype="float32", local_files_only=True)
        for name in ("student", "teacher")
    )
    resolved = choose_precision(device, precision, teacher.config.hidden_size)
    objective = Objective(STAGE_TERMS[0][0])
    if kind == "distil":
        make_low_bit(student, Recipe.of(task=task.name, weight_bits=1))
        objective = Objective(STAGE_TERMS[1][0], teacher, tuple(plan["layers"]))
    student.to(resolved.device)

    # One round to warm up, then those that are measured.
    batch_size = plan["batch_size"]
    a_round = -(-len(rows) // batch_size)
    schedule = Schedule(a_round * (1 + rounds), batch_size, 2e-5, warmup=0.1, weight_decay=0.01, seed=0)
    watch = Watch(teacher, resolved.device)

    def once() -> dict[str, Any]:
        ends: list[Any] = []

        def ended(model: Any) -> float:
            ends.append(stamp(resolved.device))
            return 0.0

        watch.starts, watch.teacher_outputs, watch.sizes = [], [], []
        with tempfile.TemporaryDirectory() as workdir:
            padding = Padding(tokenizer, task)
            curve = train(student, rows, padding, objective, schedule, resolved, Path(workdir), ended).curve
        if resolved.device == "cuda":
            torch.cuda.synchronize()

        # A teacher that ran once on each row, before the first step, counts with the share of the measured rounds.
        seconds = seconds_between(watch.starts[a_round], ends[-1])
        teacher_outputs = list(zip(watch.teacher_outputs[::2], watch.teacher_outputs[1::2], strict=True))
        if graphs_wanted(resolved.device, pad_in_loss=False):
            teacher_seconds = 0.0  # inside the graphs
        elif 0 < len(teacher_outputs) < len(watch.starts):
            teacher_seconds = seconds_between(watch.teacher_outputs[0], watch.starts[0]) * rounds / (1 + rounds)
            seconds += teacher_seconds
        else:
            teacher_seconds = sum(seconds_between(*pair) for pair in teacher_outputs[a_round:])
        return {
            "seconds": seconds,
            "teacher_seconds": teacher_seconds,
            "steps": len(watch.starts) - a_round,
            "tokens": rounds * sum(rows["length"][:]),
            "positions": sum(watch.sizes[a_round:]),
            "loss": sum(point["value"] for point in curve if point["term"] in objective.terms),
            "device": resolved.device,
            "precision": resolved.name,
        }

    return once


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("kind", choices=("distil", "plain"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--rounds", type=int, default=4)
    chosen = parser.parse_args()
    before = resident()
    device = choose_precision(chosen.device).device
    serve(trainings(chosen.folder, chosen.kind, device, chosen.precision, chosen.rounds), before, device)


if __name__ == "__main__":
    main()
