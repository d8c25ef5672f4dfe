from __future__ import annotations

import pytest
import torch

from xtc_study.training.precision import Precision, choose_precision


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})


def test_auto_without_a_gpu() -> None:
    assert choose_precision(hidden_size=768) == Precision("cpu", "bf16")
    assert choose_precision() == Precision("cpu", "bf16")


def test_narrow_models_and_older_processors_stay_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_precision("cpu", "auto", 64) == Precision("cpu", "fp32")
    assert choose_precision("cpu", "auto", 128) == Precision("cpu", "bf16")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    assert choose_precision("cpu", "auto", 768).name == "bf16"
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": False})
    assert choose_precision("cpu", "auto", 768) == Precision("cpu", "fp32")


def test_auto_prefers_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_precision() == Precision("mps", "fp32")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert choose_precision(hidden_size=64) == Precision("cuda", "fp32"), "emulated bf16 is no gain"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    assert choose_precision(hidden_size=64) == Precision("cuda", "bf16")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_explicit_precision_is_used(precision: str) -> None:
    assert choose_precision("cpu", precision, 8) == Precision("cpu", precision)


@pytest.mark.parametrize(
    ("device", "precision", "message"),
    [
        ("gpu", "auto", "device='gpu': expected one of auto, cpu, cuda, mps"),
        ("auto", "fp16", "precision='fp16': expected one of auto, fp32, bf16"),
        ("cuda", "auto", "device='cuda': torch finds no CUDA GPU"),
        ("mps", "auto", "device='mps': torch finds no Apple GPU"),
    ],
)
def test_unknown_names_and_missing_devices_are_errors(device: str, precision: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose_precision(device, precision)


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_autocast_computes_in_the_chosen_precision(precision: str, dtype: torch.dtype) -> None:
    one = torch.ones(2, 2)
    with Precision("cpu", precision).autocast():
        assert (one @ one).dtype == dtype
    assert (one @ one).dtype == torch.float32
