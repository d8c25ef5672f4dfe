"""Check on this machine's device that every format reloads exactly: train on toy data, pack, load, compare all bits.

    python benchmarks/gpu_check.py [--device cuda] [--output FOLDER] [--bits 1 2] [--quick]

Trains one teacher, and for each number of bits and granularity one student, for a few optimiser steps; writes each
student's file with every kind of rest. Prints one line per file, and exits with 1 if the logits of any file differ
from those of its student on the device that trained it. Uses a GPU if there is one; on a CPU the check proves little.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from xtc_study.deploy.evaluate import ReloadError, measure
from xtc_study.places import Compute, Places
from xtc_study.recipe import Recipe
from xtc_study.recipe_xtc import REST_FORMATS
from xtc_study.training.pipeline import Pipeline

BITS, GRANULARITIES = (1, 2, 4, 8), ("tensor", "row", "group:16")
SHORT = {
    "task": "toy-inference", "layers": "1/2", "teacher_epochs": 0.2, "teacher_learning_rate": 1e-3,
    "reduce_epochs": 0.1, "epochs": 0.1, "learning_rate": 5e-4,
}  # fmt: skip
"""About 30 and 15 steps: enough for weights whose sums are rounded, too few to learn anything."""
OTHERS: dict[str, dict[str, Any]] = {
    "every table, own vocabulary": {"weight_bits": 2, "quantise_tables": True, "vocabulary": "task"},
    "8-bit attention": {"weight_bits": 1, "quantise_attention": True},
    "fixed input ranges": {"weight_bits": 1, "activation_scale": "tensor", "activation_range": "static"},
    "4-bit inputs": {"weight_bits": 1, "activation_bits": 4},
    "plain inputs": {"weight_bits": 2, "activation_bits": 32, "granularity": "row"},
    "only inputs": {"weight_bits": 32},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto", help="auto, cuda, cpu or mps")
    parser.add_argument("--precision", default="auto", help="training precision: auto, fp32 or bf16")
    parser.add_argument("--output", type=Path, default=None, help="keep steps and files in this folder")
    parser.add_argument("--bits", type=int, nargs="+", default=BITS, choices=range(1, 9), help="bits per weight")
    parser.add_argument("--quick", action="store_true", help="check only one scale per matrix, with these bits")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as workdir:
        wrong = check(chosen, chosen.output or Path(workdir))
    print(
        "every file gives its student's logits" if not wrong else f"{wrong} files do not give their student's logits"
    )
    sys.exit(1 if wrong else 0)


def check(chosen: argparse.Namespace, workdir: Path) -> int:
    """Return the number of files that differ from their student."""
    granularities = GRANULARITIES[:1] if chosen.quick else GRANULARITIES
    formats: dict[str, dict[str, Any]] = {
        f"{bits}-bit, one scale per {granularity}": {"weight_bits": bits, "granularity": granularity}
        for bits, granularity in itertools.product(chosen.bits, granularities)
    }
    places, compute, wrong = Places(workdir), Compute(chosen.device, chosen.precision), 0
    for number, (name, fields) in enumerate({**formats, **({} if chosen.quick else OTHERS)}.items()):
        for rest in REST_FORMATS:
            recipe, started = Recipe.of(**SHORT, **fields, rest=rest), time.monotonic()
            pipeline = Pipeline(recipe, places, compute)
            if not number and rest == "fp32":
                print(_machine(pipeline.precision), flush=True)
            try:
                evaluation = measure(pipeline, pipeline.teacher(), pipeline.student(), workdir / f"{number}-{rest}")
                size, value = evaluation.metrics["size_bytes"], evaluation.metrics["rows"][0]["value"]
                result = f"exact, {size:,} bytes, score {value:.3f}"
            except ReloadError as error:
                wrong, result = wrong + 1, f"DIFFERS: {error}"
            print(f"{name}, rest {rest}: {result}, {time.monotonic() - started:.1f} s", flush=True)
    return wrong


def _machine(precision: Any) -> str:
    name = torch.cuda.get_device_name() if precision.device == "cuda" else precision.device
    return f"{name}, {precision.name} steps, torch {torch.__version__}"


if __name__ == "__main__":
    main()
