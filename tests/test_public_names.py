from __future__ import annotations

import subprocess
import sys

import pytest

import xtc_study


def test_every_public_name_is_there_and_says_how_to_use_it() -> None:
    names = [name for name in xtc_study.__all__ if name != "__version__"]
    assert names == ["Pipeline", "Recipe", "Study", "load", "run_study"]
    for name in names:
        assert "Example:\n" in (getattr(xtc_study, name).__doc__ or ""), name
        assert name in dir(xtc_study)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Studdy'; it has Pipeline, Recipe"):
        xtc_study.Studdy  # noqa: B018


def test_names_without_torch_come_without_torch() -> None:
    code = "import sys; from xtc_study import Recipe, Study, run_study; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
