"""Packed folders of 0e5d90d load and give the same logits as with its loader."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest
import torch
from compat.today import FIXTURES, fixture, load

FOLDERS = ("one-bit", "two-bit", "groups", "four-bit-rows")
PINNED = fixture("packed/logits.json")


@pytest.mark.parametrize("engine", ["torch", "numba"])
@pytest.mark.parametrize("name", FOLDERS)
def test_packed_folder_gives_its_pinned_logits(name: str, engine: str) -> None:
    if engine == "numba" and find_spec("numba") is None:
        pytest.skip("numba is not installed")
    inputs = {key: torch.tensor(rows) for key, rows in PINNED["inputs"].items()}
    with torch.no_grad():
        found = load(FIXTURES / "packed" / name, engine)(**inputs).logits
    expected = torch.tensor([[float.fromhex(text) for text in row] for row in PINNED["logits"][name][engine]])
    assert expected.std() > 0.1
    if computed_here():
        assert torch.equal(found, expected)
    else:
        torch.testing.assert_close(found, expected, atol=0.02, rtol=0)


def computed_here() -> bool:
    """Return whether float32 sums are ordered as here: another torch or kind of CPU differs in the last bits."""
    here: dict[str, Any] = {"torch": torch.__version__, "cpu": torch.backends.cpu.get_cpu_capability()}
    return here == PINNED["computed_with"]
