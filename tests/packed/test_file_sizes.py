from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.packed.checkpoint import save_packed
from xtc_study.packed.file_sizes import bytes_by_part, fp32_bytes
from xtc_study.recipe import Recipe


@pytest.mark.parametrize("bits", [1, 32])
def test_parts_add_up_to_the_file(family: str, bits: int, tiny: Callable[..., Any], tmp_path: Path) -> None:
    """With width 32, a row of the word table takes 4 bytes at one bit and 128 in full precision."""
    model = tiny(family, layers=2)
    full = 4 * sum(parameter.numel() for parameter in model.parameters())
    make_low_bit(model, Recipe.of(task="toy-sentiment", weight_bits=bits, activation_bits=8 if bits == 1 else 32))
    size = save_packed(model, tmp_path / "model")
    parts = bytes_by_part(tmp_path / "model")
    assert list(parts) == ["word table", "matrices", "scales", "rest", "header"]
    assert sum(parts.values()) == size and min(parts["rest"], parts["header"]) > 0
    assert parts["word table"] == 101 * (4 if bits == 1 else 128)
    assert parts["matrices"] >= 2 * (4 * 32 * 32 + 2 * 32 * 64) * bits // 8
    assert (parts["scales"] > 0) == (bits == 1)
    assert fp32_bytes(tmp_path / "model") == full


def test_full_precision_size_uses_the_files_own_depth(tiny: Callable[..., Any], tmp_path: Path) -> None:
    sizes = {}
    for layers in (1, 2):
        save_packed(tiny("bert", layers=layers), tmp_path / str(layers))
        sizes[layers] = fp32_bytes(tmp_path / str(layers))
    assert sizes[2] - sizes[1] == 4 * (4 * 32 * 33 + 64 * 33 + 32 * 65 + 4 * 32)  # attention, feed-forward, two norms
