from __future__ import annotations

from xtc_study.runs.card_memory import memory_text
from xtc_study.runs.step_times import StepTime, StepTimes

POINTS = [StepTime(kind="quantise", length=length, seconds=1.0) for length in (32, 128)]


def measured(model: str, peak: int | None, card: int | None) -> StepTimes:
    return StepTimes(
        model=model, depth=6, batch_size=32, device="a card", precision="bf16", peak_bytes=peak, card_bytes=card,
        points=POINTS,
    )  # fmt: skip


def test_the_model_with_the_largest_peak_says_how_many_runs_fit() -> None:
    small, large = measured("small", 1_000_000_000, 80_000_000_000), measured("large", 3_140_000_000, 80_000_000_000)
    assert memory_text([small, large]) == (
        "GPU memory: measured peak 3.1 GB a run (large, 32 x 128 tokens), so at most 25 runs fit on a card of 80.0 GB "
        "(a card), beside the CUDA context of each process, which was not measured"
    )
    assert "so at most 1 run fits on a card of 4.0 GB" in memory_text([measured("m", 3_140_000_000, 4_000_000_000)])


def test_what_was_not_measured_on_a_card_says_nothing_of_one() -> None:
    assert memory_text([]) == memory_text([measured("m", 10**9, None), measured("n", None, 10**10)]) == ""
