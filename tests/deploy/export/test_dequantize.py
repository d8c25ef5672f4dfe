from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from xtc_study.deploy.export.dequantize import NormalizedLinear, dequantized
from xtc_study.packed.checkpoint import save_packed
from xtc_study.packed.loading import load


@torch.no_grad()
def test_a_norm_before_a_linear_is_kept(
    student: Callable[..., Any], batch: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_packed(student("bert", layers=2, weight_bits=2, input_norm="rms"), tmp_path)
    packed = load(tmp_path, "torch")(**batch("bert")).logits

    def off_by() -> float:
        return float((dequantized(tmp_path)(**batch("bert")).logits - packed).norm() / packed.norm())

    assert sum(isinstance(module, NormalizedLinear) for module in dequantized(tmp_path).modules()) == 2 * 6 + 1
    assert off_by() < 0.05, "only inputs are no longer rounded"
    monkeypatch.setattr(NormalizedLinear, "forward", lambda self, x: F.linear(x, self.weight, self.bias))
    assert off_by() > 0.15
