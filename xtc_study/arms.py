"""Arms: the settings a study compares, written out one by one or as the product of its axes."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from xtc_study.nearest import did_you_mean

BUDGET = "budget"
"""Not a recipe field: it names one of the profile's budgets, which sets epochs and reduce_epochs."""
TIMES = re.compile(r"x(\d+(?:\.\d+)?)")
"""``x2``: twice the profile's value, so that one study fits encoders of every size."""

Axis = Mapping[str, Mapping[str, Any]]
"""Maps a label to the fields it sets: ``{"1-bit": {"weight_bits": 1}}``."""


class ArmError(ValueError):
    """An axis or arm that does not exist or does not fit. The message names it and the ones that exist."""


class Arm(BaseModel):
    """One setting of a study; it is run on every task with every seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """Its name for a reader: ``1-bit, budget C``."""
    set: dict[str, Any] = {}
    """The recipe fields it sets, and ``budget``. ``x2`` is twice the profile's value."""
    factors: dict[str, str] = {}
    """The arm's label on each axis, where it is a cell of a grid."""
    code: str = ""
    """In a study with a design, the letters of the factors that it has high: ``acfh``; ``(1)`` where it has none."""


def grid(axes: Mapping[str, Axis]) -> list[Arm]:
    """Return an arm for every combination of the axes' labels, the last axis varying fastest.

    An arm is named by its labels.

    Raises:
        ArmError: two axes set the same field.
    """
    owners: dict[str, str] = {}
    for name, axis in axes.items():
        for field in sorted({field for fields in axis.values() for field in fields}):
            if owners.setdefault(field, name) != name:
                raise ArmError(f"axes {owners[field]} and {name} both set {field}")
    arms = []
    for labels in itertools.product(*axes.values()):
        factors = dict(zip(axes, labels, strict=True))
        fields = {field: value for name, label in factors.items() for field, value in axes[name][label].items()}
        arms.append(Arm(name=", ".join(labels), set=fields, factors=factors))
    return arms


def chosen_axes(axes: Mapping[str, Axis], chosen: Mapping[str, Sequence[Any]]) -> dict[str, Axis]:
    """Return the axes with only the chosen points, in the order chosen.

    Args:
        axes: of the study.
        chosen: points by axis. A point is a label of the axis or, where every label of the axis sets one and the same
            field, any value of that field.

    Raises:
        ArmError: an unknown axis, an axis without points, or a point that is neither a label nor a value.
    """
    unknown = sorted(set(chosen) - set(axes))
    if unknown:
        near = "".join(did_you_mean(name, axes) for name in unknown)
        raise ArmError(f"axis {', '.join(unknown)}: unknown; this study has {', '.join(axes) or 'no axes'}{near}")
    return {name: _points(name, axis, chosen[name]) if name in chosen else axis for name, axis in axes.items()}


def _points(name: str, axis: Axis, points: Sequence[Any]) -> Axis:
    if isinstance(points, str) or not points:
        raise ArmError(f"axis {name}={points!r}: expected a list of points, for example {list(axis)[:2]}")
    fields = {field for fields in axis.values() for field in fields}
    takes_text = any(
        isinstance(value, str) and not TIMES.fullmatch(value) for of in axis.values() for value in of.values()
    )
    kept: dict[str, Mapping[str, Any]] = {}
    for point in points:
        if str(point) in axis:
            kept[str(point)] = axis[str(point)]
        elif isinstance(point, str) and re.fullmatch(r"[^/]*", point) and not (takes_text or TIMES.fullmatch(point)):
            value = f", or a value of {next(iter(fields))}" if len(fields) == 1 else ""
            near = did_you_mean(point, axis)
            raise ArmError(f"axis {name}: no point {point!r}; expected some of {', '.join(axis)}{value}{near}")
        elif len(fields) == 1:
            kept[str(point)] = {next(iter(fields)): point}
        else:
            near = did_you_mean(point, axis)
            raise ArmError(f"axis {name}: no point {point!r}; expected some of {', '.join(axis)}{near}")
    return kept


def varied_fields(arms: Sequence[Arm]) -> set[str]:
    """Return the recipe fields that the arms set, by themselves or through a budget."""
    varied = {field for arm in arms for field in arm.set}
    return varied - {BUDGET} | ({"epochs", "reduce_epochs"} if varies_budget(arms) else set())


def varies_budget(arms: Sequence[Arm]) -> bool:
    """Return whether any arm names a budget of the profile."""
    return any(BUDGET in arm.set for arm in arms)


def with_arm(fields: Mapping[str, Any], arm: Arm) -> dict[str, Any]:
    """Return recipe fields with those of the arm; ``x2`` becomes twice the value that the field had before.

    Raises:
        ArmError: ``x2`` for a field that had no number before.
    """
    merged = dict(fields)
    for field, value in arm.set.items():
        if field == BUDGET:
            continue
        times = TIMES.fullmatch(value) if isinstance(value, str) else None
        if times is not None:
            before = fields.get(field)
            if isinstance(before, bool) or not isinstance(before, int | float):
                raise ArmError(
                    f"arm {arm.name}: {field}={value!r} multiplies the profile's value, which is {before!r}"
                )
            value = float(f"{before * float(times[1]):.6g}")  # 3e-5, not 3.0000000000000004e-5, is what gets hashed
        merged[field] = value
    return merged
