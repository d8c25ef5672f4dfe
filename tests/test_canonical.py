from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xtc_study.canonical import canonical_json, digest


def test_canonical_json() -> None:
    values = {"b": 2.0, "a": [1.5, None, True], "c": {"y": (1, 2), "x": "é"}, "d": 2e-5}
    assert canonical_json(values) == '{"a":[1.5,null,true],"b":2,"c":{"x":"\\u00e9","y":[1,2]},"d":2e-05}'
    assert digest(values) == hashlib.sha256(canonical_json(values).encode()).hexdigest()[:10]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}], ids=str)
def test_canonical_json_refuses_what_json_cannot_hold(value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        canonical_json({"a": [value]})


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), PLAIN, max_size=4))
def test_canonical_json_keeps_the_values_whatever_their_order(values: dict) -> None:
    text = canonical_json(values)
    assert json.loads(text) == values
    assert canonical_json(dict(reversed(values.items()))) == text
