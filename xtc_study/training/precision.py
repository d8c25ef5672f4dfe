"""The device and precision of training. Recorded with each run, but not part of its recipe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from xtc_study.places import DEVICES, PRECISIONS
from xtc_study.values import one_of


@dataclass(frozen=True)
class Precision:
    """The device that trains and the precision of its steps. Scores are always measured in fp32."""

    device: str
    """cpu, cuda or mps."""
    name: str
    """fp32 or bf16."""

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """Compute products in bf16 and sums in fp32 inside the block, if the precision is bf16."""
        with torch.autocast(self.device, torch.bfloat16, enabled=self.name == "bf16"):
            yield

    @contextmanager
    def cast_once(self, model: Any) -> Iterator[None]:
        """Convert the linear layers of a frozen model to bf16 inside the block, if the precision is bf16.

        Autocast would convert them at every step, because it caches only weights that need a gradient.
        """
        parameters = [
            parameter
            for module in model.modules()
            if self.name == "bf16" and isinstance(module, nn.Linear)
            for parameter in module.parameters(recurse=False)
        ]
        before = [parameter.data for parameter in parameters]
        try:
            for parameter in parameters:
                parameter.data = parameter.data.to(torch.bfloat16)
            yield
        finally:
            for parameter, full in zip(parameters, before, strict=True):
                parameter.data = full


def choose_precision(device: str = "auto", precision: str = "auto", hidden_size: int | None = None) -> Precision:
    """Return the device and precision to train with; ``auto`` chooses the fastest of this machine.

    Args:
        device: auto, cpu, cuda or mps.
        precision: auto, fp32 or bf16.
        hidden_size: width of the model. Below 128, fp32 is faster on a CPU than bf16 with its conversions.

    Raises:
        ValueError: a name is unknown, or this machine does not have the device.
    """
    one_of("device", device, DEVICES)
    one_of("precision", precision, PRECISIONS)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device='cuda': torch finds no CUDA GPU here; use device='auto' or 'cpu'")
    if device == "mps" and not torch.backends.mps.is_available():
        raise ValueError("device='mps': torch finds no Apple GPU here; use device='auto' or 'cpu'")
    if precision == "auto":
        precision = "bf16" if _has_fast_bf16(device, hidden_size) else "fp32"
    return Precision(device, precision)


def _has_fast_bf16(device: str, hidden_size: int | None) -> bool:
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device == "cpu":
        wide = hidden_size is None or hidden_size >= 128
        capabilities = torch.cpu.get_capabilities()
        return wide and bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return False
