"""Check whether another runtime's file gives the packed folder's predictions, and how far its logits differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

SAME_CLASS = 0.95
"""Minimum share of rows in which an export must predict the packed file's class."""
LOGITS_OFF_BY = 0.25
"""Maximum root mean square of the logits' differences, as a share of that of the packed logits. The share of classes
is not enough: a model that predicts one class for all rows would agree with anything."""
OFF_BY = 0.05
"""For a regression, maximum root mean square of the differences, as a share of the standard deviation of the packed
file's values, which does not depend on their unit and mean."""


class ExportError(ValueError):
    """An exported file differs too much from the packed one; it is deleted."""


@dataclass(frozen=True)
class Agreement:
    """How two runtimes agree on the same rows."""

    rows: int
    difference: float
    """The largest difference of any logit."""
    off_by: float
    """Root mean square of the logits' differences, as a share of that of the packed logits, or, for a regression, of
    the standard deviation of the packed values."""
    same_class: float | None
    """Share of rows with the same class; None for a regression."""
    made_up: bool = False
    """True if the rows are random because the task's data was not available."""

    def __str__(self) -> str:
        rows = f"{self.rows:,} random rows" if self.made_up else f"{self.rows:,} dev rows"
        off = f"by up to {self.difference:.3g}, {self.off_by:.1%} in root mean square"
        if self.same_class is None:
            return f"on {rows} its values differ from the packed file's {off} (a share of their spread)"
        same = f"it predicts the packed file's class in {self.same_class:.1%} of {rows}"
        return f"{same}; logits differ {off} (it rounds differently)"

    def check(self, path: Any) -> None:
        """Check that the differences are small enough.

        Args:
            path: the file's name, for messages.

        Raises:
            ExportError: they are not; the message names the file, what was measured and what was expected.
        """
        if not np.isfinite(self.difference):
            raise ExportError(f"{path}: it returns numbers that are not finite or logits of another shape; {FIX}")
        if self.same_class is None and self.off_by > OFF_BY:
            raise ExportError(f"{path}: {self}; expected at most {OFF_BY:.0%}; {FIX}")
        if self.same_class is not None and (self.same_class < SAME_CLASS or self.off_by > LOGITS_OFF_BY):
            bounds = f"at least {SAME_CLASS:.0%}, and at most {LOGITS_OFF_BY:.0%} in root mean square"
            raise ExportError(f"{path}: {self}; expected {bounds}; {FIX}")


FIX = (
    "this runtime does not round this model's inputs as in training: export it with --to packed, or try the other of "
    "onnx and openvino"
)


@torch.inference_mode()
def agreement(
    packed: Any,
    other: Callable[[Mapping[str, torch.Tensor]], Any],
    batches: Iterable[Mapping[str, torch.Tensor]],
    made_up: bool,
) -> Agreement:
    """Compare the packed model, in evaluation mode, with another runtime of it.

    Logits that are missing or not finite count as an infinite difference.

    Args:
        packed: the packed model.
        other: returns the other runtime's logits, (batch, outputs), for a batch.
        batches: inputs by name, (batch, length) each.
        made_up: whether these are random.
    """
    exact_parts, given_parts = [], []
    for batch in batches:
        exact = packed(**batch).logits.float().cpu().numpy()
        given = np.asarray(other(batch), dtype=np.float32)
        exact_parts.append(exact)
        given_parts.append(given if given.shape == exact.shape else np.full_like(exact, np.nan))
    exact, given = np.concatenate(exact_parts), np.concatenate(given_parts)
    if not np.isfinite(given).all():
        return Agreement(len(exact), float("inf"), float("inf"), 0.0, made_up)

    # The share of equal classes, and the size that differences are measured against.
    gap, same = given - exact, None
    if exact.shape[1] > 1:
        same, size = float((exact.argmax(-1) == given.argmax(-1)).mean()), float(np.sqrt(np.square(exact).mean()))
    else:
        size = float(exact.std())
    off_by = float(np.sqrt(np.square(gap).mean())) / size if size else float(np.abs(gap).max())
    return Agreement(len(exact), float(np.abs(gap).max()), off_by, same, made_up)
