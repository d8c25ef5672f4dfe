"""``import xtc_study``, then transformers' own loader; whichever is imported first, and loud without it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.packed.checkpoint import save_packed
from xtc_study.recipe import Recipe

LOAD = "model = AutoModelForSequenceClassification.from_pretrained(sys.argv[1])\nprint(type(model).__name__)\n"
TRANSFORMERS = "from transformers import AutoModelForSequenceClassification\n"
ORDERS = {
    "xtc_study first": f"import sys, importlib, xtc_study\nimportlib.reload(xtc_study)\n{TRANSFORMERS}{LOAD}",
    "transformers first": f"import sys, transformers.quantizers.auto\n{TRANSFORMERS}import xtc_study\n{LOAD}",
}


@pytest.fixture(scope="module")
def folder(tiny: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("registered")
    model = tiny("bert")
    make_low_bit(model, Recipe.of(task="toy-sentiment"))
    save_packed(model, path)
    return path


def program(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("order", ORDERS)
def test_from_pretrained_after_import(order: str, folder: Path) -> None:
    done = program(ORDERS[order], folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "BertForSequenceClassification"


def test_without_the_import_transformers_refuses_the_folder(folder: Path) -> None:
    """Its loader knows no such quantisation; new random weights in place of the packed ones would be garbage."""
    done = program(f"import sys\n{TRANSFORMERS}{LOAD}", folder)
    assert done.returncode != 0 and "mismatch" in done.stderr
    assert "Unknown quantization type, got xtc" in done.stderr


def test_the_import_itself_stays_light() -> None:
    code = "import sys, xtc_study; print(sorted({'torch', 'transformers', 'numba', 'numpy'} & set(sys.modules)))"
    assert program(code, Path()).stdout.strip() == "[]"
