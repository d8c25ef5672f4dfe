"""Whether another runtime's file answers as the packed folder does, and how far its logits are off."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

SAME_CLASS = 0.95
"""An export that gives the packed file's class in fewer rows than this share is refused."""
LOGITS_OFF_BY = 0.25
"""And where the root mean square of its logits' differences is a larger share of that of the packed file's own: one
that answers one class for all rows would agree with anything."""
OFF_BY = 0.05
"""A regression's export is refused where the root mean square of the differences is a larger share of the standard
deviation of the packed file's own values: what it tells its rows apart by, whatever their unit and mean."""


class ExportError(ValueError):
    """A file that does not answer as the packed one does. Nothing of it is kept."""


@dataclass(frozen=True)
class Agreement:
    """Two runtimes on the same rows.

    same_class: share of rows; None for a regression. off_by: root mean square of the logits' differences, as a share
    of the packed logits' own, or of the standard deviation of a regression's packed values. difference: the largest of
    any logit.
    """

    rows: int
    difference: float
    off_by: float
    same_class: float | None
    made_up: bool = False
    """Whether the rows are random ones, for want of the task's data."""

    def __str__(self) -> str:
        rows = f"{self.rows:,} made-up rows" if self.made_up else f"{self.rows:,} dev rows"
        off = f"by up to {self.difference:.3g}, {self.off_by:.1%} in root mean square"
        if self.same_class is None:
            return f"on {rows} its values differ from the packed file's {off} (a share of their spread)"
        return f"the packed file's class in {self.same_class:.1%} of {rows}; logits differ {off} (other rounding)"

    def check(self, path: Any) -> None:
        """Refuses what is too far off.

        Raises:
            ExportError: the message names the file, what was found and what was expected.
        """
        if not np.isfinite(self.difference):
            raise ExportError(f"{path}: gives numbers that are not finite or logits of another shape; {FIX}")
        if self.same_class is None and self.off_by > OFF_BY:
            raise ExportError(f"{path}: {self}; expected at most {OFF_BY:.0%}; {FIX}")
        if self.same_class is not None and (self.same_class < SAME_CLASS or self.off_by > LOGITS_OFF_BY):
            bounds = f"at least {SAME_CLASS:.0%}, and at most {LOGITS_OFF_BY:.0%} in root mean square"
            raise ExportError(f"{path}: {self}; expected {bounds}; {FIX}")


FIX = (
    "this runtime rounds this model's inputs in another way than it was trained with: export it with --to packed, or "
    "try the other of onnx and openvino"
)


@torch.inference_mode()
def agreement(
    packed: Any,
    other: Callable[[Mapping[str, torch.Tensor]], Any],
    batches: Iterable[Mapping[str, torch.Tensor]],
    made_up: bool,
) -> Agreement:
    """Compares the packed model, in evaluation mode, with another runtime of it.

    Logits that are missing, or not finite, count as an infinite difference.
    """
    ours, theirs = [], []
    for batch in batches:
        exact = packed(**batch).logits.float().cpu().numpy()
        given = np.asarray(other(batch), dtype=np.float32)
        ours.append(exact)
        theirs.append(given if given.shape == exact.shape else np.full_like(exact, np.nan))
    exact, given = np.concatenate(ours), np.concatenate(theirs)
    if not np.isfinite(given).all():
        return Agreement(len(exact), float("inf"), float("inf"), 0.0, made_up)
    gap, same = given - exact, None
    if exact.shape[1] > 1:
        same, size = float((exact.argmax(-1) == given.argmax(-1)).mean()), float(np.sqrt(np.square(exact).mean()))
    else:
        size = float(exact.std())
    off_by = float(np.sqrt(np.square(gap).mean())) / size if size else float(np.abs(gap).max())
    return Agreement(len(exact), float(np.abs(gap).max()), off_by, same, made_up)
