"""Reads and writes the values of ``--set``, ``--axis`` and ``--tune``, and checks those of a notebook's parameters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from xtc_study.errors import first_line
from xtc_study.nearest import did_you_mean

NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")
"""YAML reads ``2e-4`` as text; users mean a number."""


def setting(text: str) -> tuple[str, Any]:
    """Read the field and value of ``learning_rate=2e-4``.

    Raises:
        ValueError: no ``=``, or a value that is not valid YAML.
    """
    field, equals, value = text.partition("=")
    if not equals or not field.strip():
        raise ValueError(f"--set {text}: expected FIELD=VALUE, for example --set epochs=3")
    return field.strip(), _value(f"--set {text}", value)


def axis_points(text: str) -> tuple[str, list[Any]]:
    """Read the axis and points of ``depth=depth 1/2,3,[0,3]``.

    Raises:
        ValueError: no ``=``, no points, or points that are not valid YAML.
    """
    axis, equals, points = text.partition("=")
    if not equals or not axis.strip() or not points.strip():
        raise ValueError(f"--axis {text}: expected AXIS=POINT,POINT, for example --axis weights=1-bit,2-bit")
    return axis.strip(), list(_value(f"--axis {text}", f"[{points}]"))


def tuned_values(text: str) -> tuple[str, Any]:
    """Read the field and the values to try of ``learning_rate=x1,x2.5,x5``, or a setting such as ``holdout=1/4``.

    Raises:
        ValueError: no ``=``, no values, or values that are not valid YAML.
    """
    field, equals, values = text.partition("=")
    if not equals or not field.strip() or not values.strip():
        raise ValueError(
            f"--tune {text}: expected FIELD=VALUE,VALUE, for example --tune learning_rate=x1,x2.5,x5, or --tune none"
        )
    read = list(_value(f"--tune {text}", f"[{values}]"))
    return field.strip(), read[0] if field.strip() in ("holdout", "length") and len(read) == 1 else read


def listed(name: str, value: Any, example: list[Any]) -> list[Any] | None:
    """Check a parameter that is a list, and drop repeated entries; None stays None.

    Args:
        name: of the parameter, for the message.
        value: as given.
        example: a valid list, for the message.

    Raises:
        ValueError: an empty list, or anything else, including text.
    """
    if value is None:
        return None
    entries = [] if isinstance(value, str | Mapping) or not isinstance(value, Iterable) else list(value)
    if not entries:
        raise ValueError(
            f"{name}={value!r}: expected a list, for example {example}, or None for the profile's own "
            f'(with papermill: -y "{name}: {example}")'
        )
    return [entry for index, entry in enumerate(entries) if entry not in entries[:index]]


def named(name: str, value: Any, example: dict[str, Any]) -> dict[str, Any]:
    """Check a parameter that maps names to values; None becomes an empty dict.

    Args:
        name: of the parameter, for the message.
        value: as given.
        example: a valid mapping, for the message.

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
    """Write the text that ``setting`` reads as this field and value."""
    return f"{field}={_text(value)}"


def points_text(axis: str, points: Iterable[Any]) -> str:
    """Write the text that ``axis_points`` reads as this axis and these points."""
    return f"{axis}={','.join(map(_text, points))}"


def one_of(name: str, value: str, names: tuple[str, ...]) -> str:
    """Check that a parameter is one of some names, and return it.

    Raises:
        ValueError: it is not; the message lists the names.
    """
    if value not in names:
        raise ValueError(f"{name}={value!r}: expected one of {', '.join(names)}{did_you_mean(value, names)}")
    return value


def _text(value: Any) -> str:
    """Write a value as YAML on one line, fit for an item of a list: ``null``, ``[0, 2]``, ``depth 1/2``."""
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
