from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from xtc_study.model_source import BUILTIN, ModelError
from xtc_study.runs.step_times import KINDS, read_step_times, write_step_times
from xtc_study.training import measure_steps
from xtc_study.training.measure_steps import measure_step_times
from xtc_study.training.pretrained import untrained_encoder


def test_each_kind_of_step_is_measured_at_two_lengths(tmp_path: Path) -> None:
    # A new process, as `plan --measure` is: one that held more before would reuse it, and its peak would not grow.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
        times = fresh.submit(measure_step_times, BUILTIN, device="cpu", batch_size=4, lengths=(8, 32)).result()
    assert sorted((point.kind, point.length) for point in times.points) == sorted(
        (kind, length) for kind in KINDS for length in (8, 32)
    )
    assert all(point.seconds > 0 for point in times.points)
    if sys.platform == "linux":
        assert times.peak_bytes is not None and 1e6 < times.peak_bytes < 1e9
    assert times.card_bytes is None, "a CPU has no card"
    assert (times.depth, times.batch_size, times.precision) == (4, 4, "fp32") and "CPU" in times.device
    write_step_times(tmp_path, times)
    assert read_step_times(tmp_path, BUILTIN) == times


def test_lengths_are_cut_to_what_the_encoder_reads() -> None:
    times = measure_step_times(BUILTIN, device="cpu", batch_size=2, lengths=(8, 10_000))
    assert {point.length for point in times.points} == {8, 64}


def test_steps_are_measured_as_they_are_trained(
    tiny: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RoBERTa's 40 positions allow 38 tokens; half-precision weights are trained in float32; only a distilled student
    returns its attention scores; dropout is that of training."""
    tiny("roberta", layers=1).half().save_pretrained(tmp_path)
    seen = []

    def watched(student: Any, teacher: Any, *rest: Any) -> Callable[[], None]:
        once = step(student, teacher, *rest)

        def looked() -> None:
            dropout = {type(part).__name__ for part in student.modules() if isinstance(part, torch.nn.Dropout)}
            seen.append((teacher is not None, student.config._attn_implementation, student.dtype, dropout))
            once()

        return looked

    step = measure_steps._step
    monkeypatch.setattr(measure_steps, "_step", watched)
    times = measure_step_times(str(tmp_path), device="cpu", batch_size=2, lengths=(4, 10_000))
    assert {point.length for point in times.points} == {4, 38}
    assert {teacher_outputs: name == "xtc_scores" for teacher_outputs, name, *_ in seen} == {False: False, True: True}
    assert all(rest == [torch.float32, {"_Dropout"}] for _, _, *rest in seen)


def test_only_bert_base_can_be_measured_without_the_hub() -> None:
    config = untrained_encoder_config("google-bert/bert-base-uncased")
    assert (config.num_hidden_layers, config.hidden_size, config.vocab_size) == (12, 768, 30522)
    with pytest.raises(ModelError, match="nobody/nothing"):
        untrained_encoder("nobody/nothing")


def untrained_encoder_config(name: str):  # type: ignore[no-untyped-def]
    import torch

    with torch.device("meta"):  # its shape is enough
        return untrained_encoder(name).config
