"""What a worker measures on a GPU, with a card and a model that only keep a diary; test_files.py measures on a CPU."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from xtc_study.deploy import sample_inputs
from xtc_study.deploy.bench import worker


class Number:
    """Stands for a tensor that can be on a card."""

    def __init__(self, shape: tuple[int, int], device: str = "cpu") -> None:
        self.shape, self.device = shape, device

    def to(self, device: str) -> Number:
        return Number(self.shape, device)


class Model:
    """Its memory is its batch's number of sentences, in MB."""

    config = SimpleNamespace(max_position_embeddings=128)

    def __init__(self, diary: list[str]) -> None:
        self.diary, self.device = diary, "cpu"

    def eval(self) -> Model:
        return self

    def to(self, device: str) -> Model:
        self.device = device
        return self

    def __call__(self, **inputs: Number) -> Any:
        assert {tensor.device for tensor in inputs.values()} == {self.device} == {"cuda"}
        self.diary.append(f"forward {inputs['input_ids'].shape[0]}")
        return SimpleNamespace(logits=0)


@pytest.fixture
def diary(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    kept: list[str] = []

    def forget() -> None:
        kept.append("forget")

    def most() -> int:
        since = kept[len(kept) - kept[::-1].index("forget") :]
        return max(int(line.split()[1]) for line in since if line.startswith("forward")) * 10**6

    monkeypatch.setattr(torch.cuda, "synchronize", lambda: kept.append("wait"))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: 7_000_000)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", forget)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", most)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card")
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    monkeypatch.setattr(sample_inputs, "sample_inputs", lambda config, *shape: {"input_ids": Number(shape)})
    monkeypatch.setattr(sample_inputs, "input_names", lambda model: ["input_ids"])
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setitem(worker.RUNTIMES, "fake", lambda job: lambda: worker._torch_run(Model(kept), job["device"]))
    return kept


def test_a_batch_on_a_card_is_whole_warm_and_over_when_the_card_has_finished(
    diary: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    job = {"runtime": "fake", "device": "cuda", "threads": 1, "shapes": [[1, 128], [256, 128]], "seconds": 0}
    monkeypatch.setattr(sys, "argv", ["worker", json.dumps(job)])
    worker.main()
    found = json.loads(capsys.readouterr().out)
    times = worker.CARD_WARM_UP + 3
    assert diary == ["forget", *["forward 1", "wait"] * times, "forget", *["forward 256", "wait"] * times]
    assert (found["device"], found["loaded_mb"]) == ("a card", 7.0)
    assert {shape: one["peak_mb"] for shape, one in found["times"].items()} == {"1x128": 1.0, "256x128": 256.0}
    assert all(0 < one["least_ms"] <= one["ms"] for one in found["times"].values())
