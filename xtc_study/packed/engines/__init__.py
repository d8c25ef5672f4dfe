"""Engines compute packed linears. All engines give the same integers, and so the same logits, bit for bit.

``torch``: int8 in memory; any device. ``numba``: 1 or 2 bits per weight in memory; CPU. ``native``: likewise in C++,
after ``xtc-study build-engine``. ``auto``: native if it is built, else numba if it is installed, else torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from typing import Protocol

from torch import Tensor

from xtc_study.nearest import did_you_mean
from xtc_study.packed.engines import native_build
from xtc_study.packed.layers import PackedLinear

ENGINES = ("auto", "torch", "numba", "native")

_chosen: ContextVar[str] = ContextVar("engine", default="auto")


class Engine(Protocol):
    """Prepares a filled layer, then computes it."""

    name: str

    def prepare(self, layer: PackedLinear) -> None:
        """Convert the layer's bytes to the form that this engine keeps in memory.

        Raises:
            ValueError: bytes that encode no weight.
        """

    def linear(self, layer: PackedLinear, x: Tensor) -> Tensor:
        """Map x (..., in) to (..., out), float32."""


def make_engine(name: str) -> Engine:
    """Create an engine.

    Args:
        name: one of ``ENGINES``.

    Raises:
        ValueError: an unknown engine, or one that is not installed or built.
    """
    if name not in ENGINES:
        raise ValueError(f"engine={name!r}: expected one of {', '.join(ENGINES)}{did_you_mean(name, ENGINES)}")
    if name in ("auto", "native") and native_build.is_built():
        from xtc_study.packed.engines.native_engine import NativeEngine

        return NativeEngine()
    if name == "native":
        raise ValueError(f"engine='native': not built on this machine; run {native_build.FIX}, or use engine='numba'")

    installed = find_spec("numba") is not None
    if name == "numba" and not installed:
        raise ValueError("engine='numba': numba is not installed; run pip install numba, or use engine='torch'")
    if name == "torch" or not installed:
        from xtc_study.packed.engines.torch_engine import TorchEngine

        return TorchEngine()
    from xtc_study.packed.engines.numba_engine import NumbaEngine

    return NumbaEngine()


def chosen_engine() -> str:
    """Return the name of the engine for models loaded in this context."""
    return _chosen.get()


@contextmanager
def engine_for_loading(name: str) -> Iterator[None]:
    """Within the block, loaded models get this engine, also those that transformers loads itself."""
    token = _chosen.set(name)
    try:
        yield
    finally:
        _chosen.reset(token)
