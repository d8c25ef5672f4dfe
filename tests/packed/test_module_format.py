from __future__ import annotations

from typing import Any

import pytest

from xtc_study.packed.module_format import ModuleFormat

TOKEN = {"bits": 8, "scale": "token", "static": False}
LINEAR = {"kind": "linear", "shape": [2, 8], "bits": 1, "packing": "b1-le", "granularity": "row", "activation": TOKEN}


@pytest.mark.parametrize("activation", [{}, {"activation": TOKEN}], ids=["as it is", "quantised"])
def test_a_norm_is_read_and_written(activation: dict[str, Any]) -> None:
    fields = {key: value for key, value in LINEAR.items() if key != "activation"} | activation | {"input_norm": "rms"}
    found = ModuleFormat.read(fields)
    assert found.input_norm and found.json() == fields
    assert not ModuleFormat.read(LINEAR).input_norm and ModuleFormat.read(LINEAR).json() == LINEAR


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_norm": "layer"}, "input_norm 'layer': expected 'rms', of a linear"),
        ({"input_norm": None}, "input_norm None: expected 'rms', of a linear"),
        ({"input_norm": ["rms"]}, r"input_norm \['rms'\]: expected 'rms', of a linear"),
        (
            {"input_norm": "rms", "activation": {**TOKEN, "scale": "tensor"}},
            "input_norm 'rms' needs activation scale 'token', not 'tensor'",
        ),
    ],
)
def test_an_invalid_norm_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModuleFormat.read(LINEAR | change)
