"""Which cards runs may use: CUDA's own rules, and no card where torch or the driver knows none."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from xtc_study.runs import cards
from xtc_study.runs.cards import cards_for, driver_cards, torch_has_cuda, visible_cards


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    yield
    driver_cards.cache_clear()
    torch_has_cuda.cache_clear()


@pytest.mark.parametrize(
    ("value", "count", "seen"),
    [
        (None, 3, ("0", "1", "2")),
        (None, 0, ()),
        ("", 2, ()),
        ("-1", 2, ()),
        ("NoDevFiles", 2, ()),
        ("1", 2, ("1",)),
        ("3,1", 4, ("3", "1")),
        (" 0 , 01 ", 2, ("0", "1")),
        ("0,-1,1", 2, ("0",)),
        ("0,7,1", 2, ("0",)),
        ("0,0", 2, ()),
        ("GPU-8932f937,GPU-5a3b", 2, ("GPU-8932f937", "GPU-5a3b")),
        ("GPU-8932f937,GPU-8932f937", 2, ()),
        ("GPU-8932f937,1", 2, ("GPU-8932f937",)),
        ("MIG-a,MIG-b,MIG-c", 1, ("MIG-a", "MIG-b", "MIG-c")),
        ("MIG-GPU-8932f937/1/0,GPU-5a3b", 2, ("MIG-GPU-8932f937/1/0",)),
    ],
)
def test_a_value_leaves_the_cards_that_cuda_would_show(value: str | None, count: int, seen: tuple[str, ...]) -> None:
    assert visible_cards(value, count) == seen


def test_runs_use_cards_where_device_driver_and_torch_allow_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "driver_cards", lambda: 2)
    monkeypatch.setattr(cards, "torch_has_cuda", lambda: True)
    monkeypatch.delenv(cards.VARIABLE, raising=False)
    assert {device: cards_for(device) for device in ("auto", "cuda", "cpu", "mps")} == {
        "auto": ("0", "1"),
        "cuda": ("0", "1"),
        "cpu": (),
        "mps": (),
    }
    monkeypatch.setenv(cards.VARIABLE, "1")
    assert cards_for("auto") == ("1",)
    monkeypatch.setattr(cards, "torch_has_cuda", lambda: False)
    assert cards_for("auto") == (), "a torch for the CPU trains on the CPU, whatever the machine has"
    monkeypatch.setattr(cards, "torch_has_cuda", lambda: True)
    monkeypatch.setattr(cards, "driver_cards", lambda: 0)
    monkeypatch.setenv(cards.VARIABLE, "GPU-8932f937")
    assert cards_for("auto") == ()


class Library:
    """Stands for NVML, with three cards; it notes its calls."""

    def __init__(self, init: int = 0, count: int = 0) -> None:
        self.init, self.count, self.calls = init, count, ["load"]

    def nvmlInit_v2(self) -> int:
        self.calls.append("init")
        return self.init

    def nvmlDeviceGetCount_v2(self, found: Any) -> int:
        ctypes.cast(found, ctypes.POINTER(ctypes.c_uint))[0] = 3
        return self.count

    def nvmlShutdown(self) -> int:
        self.calls.append("shutdown")
        return 0


@pytest.mark.parametrize(
    ("library", "cards_there", "calls"),
    [
        (Library(), 3, ["load", "init", "shutdown"]),
        (Library(init=9), 0, ["load", "init"]),  # 9: no driver is loaded
        (Library(count=1), 0, ["load", "init", "shutdown"]),
        (SimpleNamespace(calls=[]), 0, []),  # another library of this name
    ],
    ids=["three cards", "no driver", "no count", "another library"],
)
def test_the_driver_counts_cards_and_is_left_at_once(
    library: Any, cards_there: int, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    assert driver_cards() == cards_there and library.calls == calls


def test_without_the_driver_s_library_there_is_no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "NVML", ("libno-such-library.so.1",))
    assert driver_cards() == 0


@pytest.mark.skipif(sys.platform == "win32", reason="there the library has one place")
def test_the_driver_s_library_may_be_where_the_system_does_not_look(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> Any:
        if name != "/usr/local/nvidia/lib64/libnvidia-ml.so.1":
            raise OSError(name)
        return Library()

    monkeypatch.setattr(ctypes, "CDLL", load)
    assert driver_cards() == 3


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("cuda: Optional[str] = '13.0'\nhip: Optional[str] = None\n", True),
        ('cuda = "12.8"\n', True),
        ("cuda: Optional[str] = None\nhip: Optional[str] = '6.4'\n", False),
        (None, True),
    ],
)
def test_torch_s_version_file_says_whether_it_has_cuda(
    text: str | None, has: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if text is not None:
        (tmp_path / "version.py").write_text(f"from typing import Optional\n\n__version__ = '2.13.0'\n{text}")
    found = ModuleSpec("torch", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(cards, "find_spec", lambda name: found)
    assert torch_has_cuda() == has


def test_the_installed_torch_is_read_as_it_says_itself() -> None:
    import torch

    assert torch_has_cuda() == (torch.version.cuda is not None)
