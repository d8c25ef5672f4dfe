"""One number for several tasks that a single odd run cannot move (Agarwal et al., NeurIPS 2021)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import trim_mean

Array = npt.NDArray[np.float64]


def interquartile_mean(scores: Array) -> float:
    """The mean of the middle half of all scores, (seeds, tasks) taken together (rliable's IQM)."""
    return float(trim_mean(np.asarray(scores, dtype=np.float64), 0.25, axis=None))


def probability_of_improvement(arm: Array, reference: Array) -> float:
    """How likely a run of the arm beats one of the reference, mean over tasks; ties count half.

    Args:
        arm, reference: (seeds, tasks); the numbers of seeds may differ.
    """
    better = (arm[:, None, :] > reference[None, :, :]).mean((0, 1))
    equal = (arm[:, None, :] == reference[None, :, :]).mean((0, 1))
    return float((better + equal / 2).mean())
