"""Time the step of DeepSpeed's own compression (``deepspeed.compression``, since removed) on the same model and rows.

Runs in its own environment (``make bench-peer``). ``init_compression`` makes the student 1-bit with the settings of
the released XTC configs; its schedule advances at each step, as in DeepSpeed's engine. The rest of the step is that of
reference_step.py: fp32, padded to 128, the same losses. DeepSpeed's engine, which adds communication between
processes, is not used.

A contender of train_step.py.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import torch
from reference_step import ReferenceStep, model_in, outputs, passes, quantize
from safetensors.torch import load_file
from torch import Tensor
from turns import resident, serve

MATRICES = ["attention.self", "intermediate", "output.dense"]
CONFIG: dict[str, Any] = {
    "train_batch_size": 32,
    "compression_training": {
        "weight_quantization": {
            "shared_parameters": {
                "enabled": True,
                "quantizer_kernel": False,
                "schedule_offset": 0,
                "quantize_groups": 1,
                "quantize_verbose": False,
                "quantization_type": "symmetric",
                "rounding": "nearest",
                "quantize_weight_in_forward": True,
                "fp16_mixed_quantize": {"enabled": False, "quantize_change_ratio": 0.001},
            },
            "different_groups": {
                "weights": {
                    "params": {"start_bits": 1, "target_bits": 1, "quantization_period": 0},
                    "modules": [*MATRICES, "word_embeddings"],
                }
            },
        },
        "activation_quantization": {
            "shared_parameters": {
                "enabled": True,
                "quantization_type": "symmetric",
                "range_calibration": "dynamic",
                "schedule_offset": 0,
            },
            "different_groups": {"inputs": {"params": {"bits": 8}, "modules": MATRICES}},
        },
    },
}
"""1-bit weights with one scale per matrix, and 8-bit inputs with one scale per token, both from the first step."""


class PeerStep(ReferenceStep):
    """The reference step with DeepSpeed's student; its compression schedule advances before each step."""

    def __init__(self, student: Any, teacher: Any, layers: Any, states: Any) -> None:
        from deepspeed.compression.compress import init_compression
        from deepspeed.compression.config import get_compression_config
        from deepspeed.compression.scheduler import compression_scheduler

        super().__init__(init_compression(student, CONFIG), teacher, layers, states)
        self.compression = compression_scheduler(self.student, get_compression_config(CONFIG))
        self.compression.step()

    def __call__(self, batch: dict[str, Tensor]) -> Tensor:
        self.compression.step()
        return super().__call__(batch)


def check(student: Any, reference: Any, batch: dict[str, Tensor]) -> None:
    """Check that DeepSpeed quantises as the reference does: the same model gives the same logits."""
    quantize(reference)
    with torch.no_grad():
        expected, given = (outputs(model.eval(), batch).logits for model in (reference, student))
    student.train()
    message = "deepspeed.compression does not quantise as the reference step does; check its version and CONFIG"
    torch.testing.assert_close(given, expected, rtol=1e-3, atol=1e-3, msg=message)


def main() -> None:
    parser = argparse.ArgumentParser(description="A contender of train_step.py: does one pass for each line of input.")
    parser.add_argument("folder", type=Path, help="folder that train_step.py prepared")
    parser.add_argument("--device", default="cpu")
    chosen = parser.parse_args()
    os.environ.setdefault("DS_ACCELERATOR", chosen.device)
    import deepspeed  # noqa: F401 - imported before memory is measured

    before = resident()
    plan = json.loads((chosen.folder / "plan.json").read_text())
    student, teacher = (model_in(chosen.folder / name, chosen.device) for name in ("student", "teacher"))
    step = PeerStep(student, teacher, plan["layers"], plan["states"])
    batches = load_file(chosen.folder / "padded.safetensors")
    first = {key: value[:4].to(chosen.device) for key, value in batches.items()}
    check(step.student, model_in(chosen.folder / "student", chosen.device), first)
    serve(passes(step, batches, chosen.device), before, chosen.device)


if __name__ == "__main__":
    main()
