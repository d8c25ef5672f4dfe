"""What people type: text behind ``--set`` and ``--axis`` to plain values and back, and a notebook's parameters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from xtc_study.errors import first_line
from xtc_study.nearest import did_you_mean

NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")
"""YAML takes ``2e-4`` for text; people mean a number."""


def setting(text: str) -> tuple[str, Any]:
    """``learning_rate=2e-4`` to its field and value.

    Raises:
        ValueError: no ``=``, or a value that is not valid YAML.
    """
    field, equals, value = text.partition("=")
    if not equals or not field.strip():
        raise ValueError(f"--set {text}: expected FIELD=VALUE, for example --set epochs=3")
    return field.strip(), _value(f"--set {text}", value)


def axis_points(text: str) -> tuple[str, list[Any]]:
    """``depth=depth 1/2,3,[0,3]`` to the axis and its points.

    Raises:
        ValueError: no ``=``, no point, or points that are not valid YAML.
    """
    axis, equals, points = text.partition("=")
    if not equals or not axis.strip() or not points.strip():
        raise ValueError(f"--axis {text}: expected AXIS=POINT,POINT, for example --axis weights=1-bit,2-bit")
    return axis.strip(), list(_value(f"--axis {text}", f"[{points}]"))


def listed(name: str, value: Any, example: list[Any]) -> list[Any] | None:
    """A parameter that is a list, each entry once, in its order; None stays None.

    Raises:
        ValueError: anything else, text among it, or an empty list.
    """
    if value is None:
        return None
    entries = [] if isinstance(value, str | Mapping) or not isinstance(value, Iterable) else list(value)
    if not entries:
        raise ValueError(
            f"{name}={value!r}: expected a list, for example {example}, or None for the profile's own "
            f'(with papermill: -y "{name}: {example}")'
        )
    return [entry for place, entry in enumerate(entries) if entry not in entries[:place]]


def named(name: str, value: Any, example: dict[str, Any]) -> dict[str, Any]:
    """A parameter that maps names to values; None is none of them.

    Raises:
        ValueError: anything else.
    """
    if value is not None and not isinstance(value, Mapping):
        raise ValueError(
            f"{name}={value!r}: expected names with values, for example {example} "
            f'(with papermill: -y "{name}: {example}")'
        )
    return dict(value or {})


def setting_text(field: str, value: Any) -> str:
    """What ``setting`` reads back as this field and value."""
    return f"{field}={_text(value)}"


def points_text(axis: str, points: Iterable[Any]) -> str:
    """What ``axis_points`` reads back as this axis and points."""
    return f"{axis}={','.join(map(_text, points))}"


def one_of(name: str, value: str, names: tuple[str, ...]) -> str:
    """A parameter that is one of some names.

    Raises:
        ValueError: it is not.
    """
    if value not in names:
        raise ValueError(f"{name}={value!r}: expected one of {', '.join(names)}{did_you_mean(value, names)}")
    return value


def _text(value: Any) -> str:
    """As YAML on one line, so that it can also be an item of a list: ``null``, ``[0, 2]``, ``depth 1/2``."""
    listed: str = yaml.safe_dump([value], default_flow_style=True, width=float("inf"), allow_unicode=True)
    return listed.strip()[1:-1]


def _value(where: str, text: str) -> Any:
    try:
        return _numbers(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise ValueError(f"{where}: the value is not valid YAML ({first_line(error)})") from None


def _numbers(value: Any) -> Any:
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return float(value) if isinstance(value, str) and NUMBER.fullmatch(value) else value
