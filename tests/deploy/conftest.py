"""Tiny students with low-bit layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from xtc_study.compress.lowbit import make_low_bit
from xtc_study.recipe import Recipe


@pytest.fixture
def student(tiny: Callable[..., Any], batch: Callable[..., Any]) -> Callable[..., Any]:
    def make(family: str = "bert", layers: int = 4, **fields: Any) -> Any:
        model = tiny(family, layers)
        make_low_bit(model, Recipe.of(task="toy-sentiment", **fields))
        with torch.no_grad():
            model.train()(**batch(family))  # sets static ranges
        return model.eval()

    return make
