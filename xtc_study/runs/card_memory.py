"""How many runs fit on one GPU, from the peak memory that ``plan --measure`` found."""

from __future__ import annotations

from collections.abc import Sequence

from xtc_study.runs.step_times import StepTimes


def memory_text(measured: Sequence[StepTimes]) -> str:
    """Return how many runs fit on the measured GPU, in one sentence; empty if no GPU was measured.

    The model with the largest peak counts. The peak is what tensors held, so the number is an upper bound: each
    process also has a CUDA context, which the measurement does not see.

    Args:
        measured: steps of each model that the runs train.
    """
    on_cards = [(times.peak_bytes, times.card_bytes, times) for times in measured]
    known = [(peak, card, times) for peak, card, times in on_cards if peak and card]
    if not known:
        return ""
    peak, card, times = max(known, key=lambda one: one[0])
    longest = max(point.length for point in times.points)
    fit = max(card // peak, 1)
    return (
        f"GPU memory: measured peak {peak / 1e9:.1f} GB a run ({times.model}, {times.batch_size} x {longest} tokens), "
        f"so at most {fit} run{'s' if fit > 1 else ''} fit{'' if fit > 1 else 's'} on a card of {card / 1e9:.1f} GB "
        f"({times.device}), beside the CUDA context of each process, which was not measured"
    )
