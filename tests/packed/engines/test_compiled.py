"""``torch.compile`` of a loaded model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from xtc_study.packed.checkpoint import save_packed
from xtc_study.packed.loading import load


@pytest.mark.parametrize("engine", ["torch", "numba"])
def test_loaded_model_can_be_compiled(
    student: Callable[..., Any], batch: Callable[..., Any], engine: str, tmp_path: Path
) -> None:
    """The model is traced but run without a backend, because fusing is up to each backend."""
    save_packed(student("bert", layers=1, weight_bits=2), tmp_path)
    model, inputs = load(tmp_path, engine), batch("bert")
    torch.compiler.reset()
    with torch.inference_mode():
        exact = model(**inputs).logits
        assert torch.allclose(torch.compile(model, backend="aot_eager")(**inputs).logits, exact, atol=1e-5)
