"""The score of a model that never looks."""

from __future__ import annotations

import numpy as np
import pytest

from xtc_study.analysis.chance import chance

LABELS = np.array([1.0, 1.0, 1.0, 0.0])


@pytest.mark.parametrize(
    ("metric", "level"), [("accuracy", 0.75), ("f1", 2 * 0.75 / 1.75), ("matthews", 0.0), ("pearson", 0.0)]
)
def test_the_best_constant_answer(metric: str, level: float) -> None:
    assert chance(metric, LABELS) == pytest.approx(level)
