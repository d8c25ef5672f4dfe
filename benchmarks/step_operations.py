"""Count the operations that one training step gives to the device, by the part of the step.

    python benchmarks/step_operations.py [--model NAME] [--bits 1] [--length 48] [--top 0]

On a GPU each of these launches at least one kernel. Views are left out, since they launch nothing. Runs on the CPU,
with bf16 products as on a GPU.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from xtc_study.chain import STAGE_TERMS
from xtc_study.compress.distillation.attention_scores import hook_attention_scores
from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.compress.quantization.weights_together import weights_together
from xtc_study.compress.reduction.layers import layer_map
from xtc_study.recipe import Recipe
from xtc_study.training.objective import Objective, losses_of
from xtc_study.training.precision import Precision
from xtc_study.training.pretrained import untrained_encoder

NO_KERNEL = ("detach.default", "empty.memory_format", "empty_like.default", "_unsafe_view.default")


class Operations(TorchDispatchMode):
    """Count the operations dispatched inside the block, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view and func.__name__ not in NO_KERNEL:
            self.counts[func.__name__] += 1
        return result


def count(part: Callable[[], Any]) -> tuple[Any, Counter[str]]:
    """Return what ``part`` returns and its operations."""
    with Operations() as operations:
        result = part()
    return result, operations.counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="builtin:tiny")
    parser.add_argument("--models-dir", type=Path, default=None)
    parser.add_argument("--bits", type=int, default=1)
    parser.add_argument("--length", type=int, default=48)
    parser.add_argument("--top", type=int, default=0, help="also print the most frequent operations")
    chosen = parser.parse_args()

    teacher, student = (untrained_encoder(chosen.model, chosen.models_dir) for _ in range(2))
    make_low_bit(student, Recipe.of(task="cola", weight_bits=chosen.bits))
    objective = Objective(STAGE_TERMS[1][0], teacher.eval(), layer_map(student.config.num_hidden_layers, None))
    student.train()
    precision = Precision("cpu", "bf16")
    optimiser = torch.optim.AdamW(student.parameters(), lr=1e-6, fused=True)
    ids = torch.randint(5, student.config.vocab_size, (32, chosen.length))
    mask = torch.ones_like(ids)
    mask[:16, -4:] = 0
    inputs, labels = {"input_ids": ids, "attention_mask": mask}, torch.zeros(32, dtype=torch.long)

    parts: dict[str, Counter[str]] = {}
    with precision.cast_once(teacher), hook_attention_scores(student, teacher), weights_together(student):
        with torch.no_grad(), precision.autocast():
            outputs, parts["teacher forward"] = count(
                lambda: teacher(**inputs, output_attentions=True, output_hidden_states=True)
            )
        losses, parts["student forward, losses"] = count(
            lambda: losses_of(objective, precision, student, inputs, labels, outputs)[1]
        )
        _, parts["backward"] = count(lambda: torch.stack(list(losses.values())).sum().backward())
        _, parts["clipping"] = count(lambda: torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0))
        optimiser.step()  # the first one also makes its state
        _, parts["optimiser"] = count(lambda: optimiser.step())
    for name, counts in parts.items():
        print(f"{name}: {sum(counts.values()):,}")
    total = sum(parts.values(), Counter())
    print(f"operations of a step: {sum(total.values()):,}")
    for name, number in total.most_common(chosen.top):
        print(f"  {number:6,} {name}")


if __name__ == "__main__":
    main()
