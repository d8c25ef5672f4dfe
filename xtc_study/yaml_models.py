"""Lists the YAML files of the package, one per profile or study, and reads one into its model."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from xtc_study.nearest import did_you_mean

Model = TypeVar("Model", bound=BaseModel)


def names_in(folder: str) -> tuple[str, ...]:
    """List the names of the YAML files in a folder of the package, sorted, without the ending."""
    items = (files("xtc_study") / folder).iterdir()
    return tuple(sorted(item.name.removesuffix(".yml") for item in items if item.name.endswith(".yml")))


def load_yaml_model(
    kind: str,
    folder: str,
    name: str,
    model: type[Model],
    error: type[ValueError],
    inner: Mapping[str, type[BaseModel]] | None = None,
) -> Model:
    """Load ``folder/name.yml`` as a model whose field ``name`` is the name of the file.

    Args:
        kind: ``profile`` or ``study``, for messages.
        folder: a folder of the package.
        name: of the file, without its ending.
        model: the class of the content.
        error: the class of exception to raise.
        inner: as for ``what_is_wrong``.

    Raises:
        ValueError: of the class ``error``: no such file, or a malformed one; the message names the field.
    """
    names = names_in(folder)
    if name not in names:
        raise error(f"{kind}={name!r}: expected one of {', '.join(names)}{did_you_mean(name, names)}")
    text = (files("xtc_study") / folder / f"{name}.yml").read_text(encoding="utf-8")
    try:
        return model(**{**(yaml.safe_load(text) or {}), "name": name})
    except ValidationError as wrong:
        raise error(f"{kind} {name}: {what_is_wrong(wrong, model, inner or {})}") from None


def what_is_wrong(error: ValidationError, model: type[BaseModel], inner: Mapping[str, type[BaseModel]]) -> str:
    """Say in one line what is wrong with a YAML file.

    A mistyped key comes before any other error, since it often causes another key to be missing.

    Args:
        error: of the file.
        model: of the file.
        inner: models of the entries of its list fields, by field.
    """
    errors: list[Any] = sorted(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
    where, first = ".".join(map(str, errors[0]["loc"])), errors[0]
    if first["type"] != "extra_forbidden":
        return f"{where}: {first['msg']}"
    owner = inner.get(str(first["loc"][0]), model) if len(first["loc"]) > 1 else model
    return f"unknown key {where}{did_you_mean(first['loc'][-1], owner.model_fields)}"
