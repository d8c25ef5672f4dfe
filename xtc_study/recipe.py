"""What one run is: a Recipe, the scientific parameters of one compressed model, validated, canonical, hashed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from xtc_study.canonical import digest
from xtc_study.nearest import did_you_mean
from xtc_study.recipe_beyond import BeyondXtc
from xtc_study.recipe_messages import readable
from xtc_study.recipe_xtc import FULL_PRECISION

VERSION = 1
"""Bump by hand when the same recipe would give a different model. It is part of every run_id."""

GENERATED = "toy-"
"""Prefix of the names of generated tasks."""
GENERATED_VERSION = 2
"""Bump by hand when the rows of generated tasks change. Part of their run_ids only. 2: 2,000 dev rows, not 600."""

TRIAL = "-trial"
"""End of the slug of a run that holds rows out."""
AUGMENTATION = ("augmentation", "augmentation_copies", "augmentation_probability", "augmentation_candidates")


class RecipeError(ValueError):
    """A recipe that cannot be run. The message names the field, the value and what was expected."""


class Recipe(BeyondXtc):
    """The scientific parameters of one run. Device, precision, paths and workers are recorded beside it.

    Example:
        >>> recipe = Recipe.of(task="cola", layers="1/2", weight_bits=1, epochs=18)
        >>> recipe.run_id

    Raises:
        RecipeError: from ``Recipe.of``: an unknown field, or a value outside its range.
    """

    @classmethod
    def of(cls, **fields: Any) -> Recipe:
        """Make a recipe from plain values (YAML, notebook parameters).

        Raises:
            RecipeError: one line per wrong field: its name, its value and what was expected.
        """
        unknown = sorted(set(fields) - set(cls.model_fields))
        if unknown:
            raise RecipeError(
                f"unknown recipe field {', '.join(map(repr, unknown))}; the fields are: {', '.join(cls.model_fields)}"
                + "".join(did_you_mean(field, cls.model_fields) for field in unknown)
            )
        try:
            return cls(**fields)
        except ValidationError as error:
            lines = {str(item["loc"][:1]): readable(item, fields) for item in reversed(error.errors())}
            raise RecipeError("\n".join(reversed(lines.values()))) from None

    @classmethod
    def from_names(cls, names: Mapping[str, Any]) -> Recipe:
        """Make the recipe from a notebook's variables: ``Recipe.from_names(globals())`` after the parameters cell."""
        return cls.of(**{field: names[field] for field in cls.model_fields if field in names})

    @property
    def embedding_bits_used(self) -> int:
        return self.weight_bits if self.embedding_bits is None else self.embedding_bits

    @property
    def is_low_bit(self) -> bool:
        return min(self.weight_bits, self.embedding_bits_used, self.activation_bits) < FULL_PRECISION

    def scientific(self) -> dict[str, Any]:
        """Return the task and the fields that differ from their defaults.

        Defaults are left out so that a new field changes no old run id. So are fields without effect: the settings of
        augmentation where there is none, ``ffn_by`` where no unit is cut, and Muon's rate without Muon.
        """
        values = self.model_dump(mode="json", exclude_defaults=True)
        if self.augmentation == "none":
            values = {field: value for field, value in values.items() if field not in AUGMENTATION}
        if self.ffn is None:
            values.pop("ffn_by", None)
        if self.optimizer == "adamw":
            values.pop("muon_learning_rate", None)
        return {"task": self.task, **values}

    @property
    def run_id(self) -> str:
        """A short slug of what the run is, followed by the hash of its canonical JSON and VERSION."""
        generated = {"generated": GENERATED_VERSION} if self.task.startswith(GENERATED) else {}
        return f"{self._slug()}-{digest({'version': VERSION, **generated, **self.scientific()})}"

    def _slug(self) -> str:
        if self.static is not None:
            return re.sub(r"[^a-z0-9.-]+", "_", f"{self.task}-static{self.static}-w{self.weight_bits}".lower())[:80]
        if self.layers is None:
            depth = "all"
        elif isinstance(self.layers, int | str):
            depth = f"{self.layers}l".replace("/", "of")
        else:
            depth = "l" + ".".join(map(str, self.layers))
        text = f"{self.task}-{depth}-w{self.weight_bits}a{self.activation_bits}-s{self.stages}-seed{self.seed}"
        return re.sub(r"[^a-z0-9.-]+", "_", text.lower())[:80] + ("" if self.holdout is None else TRIAL)
