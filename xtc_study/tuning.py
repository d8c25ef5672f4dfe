"""What a study tunes: the values tried for some recipe fields of each arm, and the trials that decide between them.

A *trial* is an ordinary run whose recipe holds out a part of the training rows (``Recipe.holdout``) and is scored on
those. So dev rows decide nothing, and the value is chosen for each arm and task by what a user without dev rows could
see too.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, field_validator

from xtc_study.arms import BUDGET, TIMES, Arm, with_arm
from xtc_study.chain import chain
from xtc_study.nearest import did_you_mean
from xtc_study.recipe import Recipe
from xtc_study.recipe_xtc import MOST_HELD_OUT
from xtc_study.share import Share

TUNABLE = ("learning_rate", "epochs", "reduce_learning_rate", "reduce_epochs", "warmup", "weight_decay")
"""The recipe fields that can be tuned: numbers of a student's training. The teacher is the same for every arm."""
LAST_PHASE = {"learning_rate": "reduce_learning_rate", "epochs": "reduce_epochs"}
"""A full-precision student with fewer layers or units ends with its reduction. ``learning_rate`` and ``epochs`` would
change nothing in it, so tuning them tunes those of the reduction, unless these are tuned themselves."""
LENGTHS = ("epochs", "reduce_epochs")
SETTINGS = ("holdout", "seeds", "length")
NONE = "none"
EXAMPLE = {"learning_rate": ["x1", "x2.5", "x5"]}

Values = dict[str, float]
"""One point of a grid: a number for each tuned field."""


class TuneError(ValueError):
    """Something that cannot be tuned, or values that cannot be tried. The message names the field and the value."""


class Tune(BaseModel):
    """What to try for each arm and task, and how. Written as a mapping: ``{learning_rate: [x1, x2.5], seeds: [0]}``.

    Example:
        >>> Tune.of({"learning_rate": ["x1", "x2.5", "x5"], "holdout": "1/4"})
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    values: dict[str, tuple[Any, ...]] = {}
    """By recipe field, the numbers tried. ``x2.5`` is two and a half times the arm's own value. With several fields
    every combination is tried. Empty: nothing is tuned."""
    holdout: str = "1/5"
    """Share of the training rows that a trial holds out and is scored on."""
    seeds: tuple[int, ...] = (0,)
    """Seeds of the trials; a value's score is their mean."""
    length: str = "1/1"
    """Length of a trial as a share of the arm's epochs."""

    @field_validator("values", mode="before")
    @classmethod
    def _tried(cls, values: Any) -> Any:
        for field, tried in values.items():
            if field not in TUNABLE:
                fields = ", ".join(TUNABLE)
                raise ValueError(f"{field!r} cannot be tuned; expected {fields}{did_you_mean(str(field), TUNABLE)}")
            if not isinstance(tried, list | tuple):
                raise ValueError(f"{field}={tried!r}: expected a list, for example {EXAMPLE['learning_rate']}")
            for value in tried:
                number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
                if not number and not (isinstance(value, str) and TIMES.fullmatch(value)):
                    raise ValueError(
                        f"{field}: {value!r} is no value to try; expected a number, or a multiple of the arm's own "
                        "value such as x2.5"
                    )
            if len(set(tried)) < 2:
                raise ValueError(
                    f"{field}={list(tried)}: expected at least two values, for there is nothing to choose; to set one "
                    f"value, use --set {field}=VALUE"
                )
        return {field: tuple(dict.fromkeys(tried)) for field, tried in values.items()}

    @field_validator("holdout", "length")
    @classmethod
    def _shares(cls, share: str) -> str:
        Share.parse(share)
        return share

    @field_validator("holdout")
    @classmethod
    def _at_most_half(cls, share: str) -> str:
        if Share.parse(share).times(1) > MOST_HELD_OUT:
            raise ValueError(f"holdout={share!r}: expected a share of at most 1/2 of the training rows")
        return share

    @field_validator("length")
    @classmethod
    def _at_most_whole(cls, share: str) -> str:
        if Share.parse(share).exceeds_one:
            raise ValueError(f"length={share!r}: expected a share of at most 1/1 of an arm's epochs")
        return share

    @field_validator("seeds", mode="before")
    @classmethod
    def _some_seeds(cls, seeds: Any) -> Any:
        given = [seeds] if isinstance(seeds, int) else seeds
        whole = isinstance(given, list | tuple) and all(type(seed) is int and seed >= 0 for seed in given)
        if not whole or not given:
            raise ValueError(f"seeds={seeds!r}: expected a list of whole numbers, for example [0, 1]")
        return tuple(dict.fromkeys(given))

    @classmethod
    def of(cls, value: Any) -> Tune:
        """Make it from plain values (YAML, notebook parameters); ``none`` tunes nothing.

        Raises:
            TuneError: an unknown field, or values that cannot be tried.
        """
        if isinstance(value, Tune):
            return value
        if value == NONE:
            return cls()
        if not isinstance(value, Mapping) or not value:
            raise TuneError(f"tune={value!r}: expected fields with the values to try, for example {EXAMPLE}, or none")
        tried = value.get("values")
        if tried is None:
            tried = {field: values for field, values in value.items() if field not in SETTINGS}
            if not tried:
                raise TuneError(f"tune={dict(value)!r}: names no field to tune; add one, for example {EXAMPLE}")
        try:
            return cls(values=tried, **{key: value[key] for key in SETTINGS if key in value})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = f"{first['loc'][0]}: " if first["type"] != "value_error" else ""
            raise TuneError(f"tune: {where}{first['msg'].removeprefix('Value error, ')}") from None

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that differ from their defaults, as they are written."""
        changed = self.model_dump(mode="json", exclude_defaults=True)
        return {key: changed[key] for key in SETTINGS if key in changed}

    def in_words(self) -> str:
        """Say what is tried: ``learning_rate x1, x2.5, x5``; with several fields, joined by ``and``."""
        each = (f"{field} {', '.join(map(str, tried))}" for field, tried in self.values.items())
        return " and ".join(each) or NONE


Tuned = Annotated[Tune | None, BeforeValidator(lambda value: None if value is None else Tune.of(value))]
"""A field of a model read from YAML: None where nothing is said, ``Tune()`` where ``none`` is."""


def own_fields(fields: Collection[str]) -> set[str]:
    """Return the recipe fields that an arm or an override sets, a budget's lengths among them; they are not tuned."""
    return set(fields) - {BUDGET} | (set(LENGTHS) if BUDGET in fields else set())


def grid_of(recipe: Recipe, tune: Tune, own: Collection[str]) -> list[Values]:
    """Return the points to try for an arm on a task: every combination of the values of its tuned fields.

    Args:
        recipe: of the arm before tuning; multiples are of its values.
        tune: what is tried.
        own: fields that are not tuned (``own_fields``).

    Returns:
        No point where no tuned field shapes this arm: it sets the field itself, or no step of its chain uses it.

    Raises:
        ArmError: a multiple of a value that is no number.
        RecipeError: a value outside its range.
    """
    tried: dict[str, list[float]] = {}
    ends_with = chain(recipe)[-1].phase
    for field, values in tune.values.items():
        target = LAST_PHASE.get(field, field) if ends_with == "reduce" else field
        if target != field and target in tune.values:
            target = field
        if {field, target} & set(own):
            continue
        before = {target: getattr(recipe, target)}
        numbers = [with_arm(before, Arm(name="tune", set={target: value}))[target] for value in values]
        addresses = {chain(with_values(recipe, {target: number}))[-1].address for number in (*numbers, before[target])}
        if len(addresses) > 1:
            tried[target] = list(dict.fromkeys(map(float, numbers)))
    if not tried:
        return []
    return [dict(zip(tried, point, strict=True)) for point in itertools.product(*tried.values())]


def with_values(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """Return the recipe with other values.

    Raises:
        RecipeError: a value outside its range.
    """
    return Recipe.of(**{**recipe.model_dump(), **values})


def trial_of(recipe: Recipe, values: Values, tune: Tune, seed: int) -> Recipe:
    """Return the recipe of a trial: these values, a share of the epochs, and rows held out."""
    tried = with_values(recipe, values)
    share = Share.parse(tune.length)
    lengths = {field: float(f"{share.times(getattr(tried, field)):.6g}") for field in LENGTHS}
    return with_values(tried, {**lengths, "seed": seed, "holdout": tune.holdout})


def distance(values: Values, own: Values) -> float:
    """Return how far a point is from an arm's own values: the sum of the factors' logarithms over the fields."""
    return math.fsum(
        0.0 if value == own[field] else abs(math.log(value / own[field])) if value > 0 < own[field] else math.inf
        for field, value in values.items()
    )


def number_text(value: float) -> str:
    """Write a number for a reader: ``5e-4``, ``0.1``, ``18``."""
    if 0 < abs(value) < 0.01:
        digits, _, exponent = f"{value:.5e}".partition("e")
        return f"{digits.rstrip('0').rstrip('.')}e{int(exponent)}"
    return f"{value:.6g}"


def values_text(values: Mapping[str, float]) -> str:
    """Write a point for a reader: ``5e-4`` if only a learning rate is tuned, else ``epochs 6, learning_rate 5e-4``."""
    if len(values) == 1 and next(iter(values)).endswith("learning_rate"):
        return number_text(next(iter(values.values())))
    return ", ".join(f"{field} {number_text(values[field])}" for field in sorted(values))
