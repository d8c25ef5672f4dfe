from __future__ import annotations

import pytest
import torch

from xtc_study.training.precision import Arithmetic, choose_arithmetic


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})


def test_auto_without_a_gpu() -> None:
    assert choose_arithmetic(hidden_size=768) == Arithmetic("cpu", "bf16")
    assert choose_arithmetic() == Arithmetic("cpu", "bf16")


def test_narrow_models_and_older_processors_stay_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_arithmetic("cpu", "auto", 64) == Arithmetic("cpu", "fp32")
    assert choose_arithmetic("cpu", "auto", 128) == Arithmetic("cpu", "bf16")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    assert choose_arithmetic("cpu", "auto", 768).precision == "bf16"
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": False})
    assert choose_arithmetic("cpu", "auto", 768) == Arithmetic("cpu", "fp32")


def test_a_gpu_is_preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_arithmetic() == Arithmetic("mps", "fp32")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert choose_arithmetic(hidden_size=64) == Arithmetic("cuda", "fp32"), "emulated bf16 is no gain"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    assert choose_arithmetic(hidden_size=64) == Arithmetic("cuda", "bf16")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_is_asked_for_is_what_one_gets(precision: str) -> None:
    assert choose_arithmetic("cpu", precision, 8) == Arithmetic("cpu", precision)


@pytest.mark.parametrize(
    ("device", "precision", "message"),
    [
        ("gpu", "auto", "device='gpu': expected one of auto, cpu, cuda, mps"),
        ("auto", "fp16", "precision='fp16': expected one of auto, fp32, bf16"),
        ("cuda", "auto", "device='cuda': torch finds no CUDA GPU"),
        ("mps", "auto", "device='mps': torch finds no Apple GPU"),
    ],
)
def test_what_there_is_not(device: str, precision: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose_arithmetic(device, precision)


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_autocast(precision: str, dtype: torch.dtype) -> None:
    one = torch.ones(2, 2)
    with Arithmetic("cpu", precision).autocast():
        assert (one @ one).dtype == dtype
    assert (one @ one).dtype == torch.float32
