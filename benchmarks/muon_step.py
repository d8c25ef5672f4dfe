"""Measure what Muon adds to a 1-bit training step of a student.

    python benchmarks/muon_step.py [--model NAME] [--models-dir FOLDER] [--length 32] [--batch 32] [--rounds 7]

Prints the CPU time of forward pass, losses, backward pass and clipping, of AdamW's step and of Muon with AdamW
(xtc_study/training/muon.py): the median of the rounds, in which both take turns, with the smallest in brackets.
Weights are random; speed does not depend on them. CPU time of one thread depends little on what else the machine does.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import torch

from xtc_study.chain import STAGE_TERMS
from xtc_study.compress.distillation.attention_scores import hook_attention_scores
from xtc_study.compress.distillation.dropout import cheap_dropout
from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.compress.reduction.layers import layer_map
from xtc_study.hardware import processor
from xtc_study.recipe import Recipe
from xtc_study.training.muon import MuonWithAdamW, muon_matrices
from xtc_study.training.objective import Objective, losses_of
from xtc_study.training.precision import choose_precision
from xtc_study.training.pretrained import untrained_encoder

KINDS = ("adamw", "muon")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="builtin:tiny")
    parser.add_argument("--models-dir", type=Path, default=None)
    parser.add_argument("--length", type=int, default=32)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args()
    torch.set_num_threads(1)

    teacher, *students = (untrained_encoder(chosen.model, chosen.models_dir) for _ in range(1 + len(KINDS)))
    precision = choose_precision("cpu", "auto", teacher.config.hidden_size)
    layers = layer_map(teacher.config.num_hidden_layers, None)
    objective = Objective(STAGE_TERMS[1][0], teacher.eval(), layers)
    optimisers: list[torch.optim.Optimizer] = []
    for kind, student in zip(KINDS, students, strict=True):
        make_low_bit(student, Recipe.of(task="cola"))
        optimiser: torch.optim.Optimizer = torch.optim.AdamW(student.parameters(), lr=1e-6, fused=True)
        if kind == "muon":
            optimiser = MuonWithAdamW(optimiser, muon_matrices(student), 1e-6)
        optimisers.append(optimiser)
        student.train()

    ids = torch.randint(5, teacher.config.vocab_size, (chosen.batch, chosen.length))
    inputs, labels = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, torch.zeros(chosen.batch).long()
    seconds: dict[str, list[float]] = {part: [] for part in ("forward to clipping", *KINDS)}
    for number in range(1 + chosen.rounds):
        for kind, student, optimiser in zip(KINDS, students, optimisers, strict=True):
            with cheap_dropout(student), precision.cast_once(teacher), hook_attention_scores(student, teacher):
                started = time.process_time()
                losses = losses_of(objective, precision, student, dict(inputs), labels)[1]
                torch.stack(list(losses.values())).sum().backward()
                torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
                between = time.process_time()
                optimiser.step()
                optimiser.zero_grad()
                ended = time.process_time()
            if number > 0:  # the first round loads kernels and makes the optimisers' state
                seconds["forward to clipping"].append(between - started)
                seconds[kind].append(ended - between)

    print(f"{chosen.model}, {chosen.batch} x {chosen.length} tokens, {precision.name}, one thread of {processor()}")
    for part, taken in seconds.items():
        print(f"{part}: {statistics.median(taken) * 1000:.1f} ms ({min(taken) * 1000:.1f})")
    medians = {part: statistics.median(taken) for part, taken in seconds.items()}
    base = medians["forward to clipping"]
    print(f"a step with Muon takes {(base + medians['muon']) / (base + medians['adamw']):.2f} times as long")


if __name__ == "__main__":
    main()
