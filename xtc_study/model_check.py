"""Whether the models that recipes name are there: asked before anything is planned or trained. Imports no torch."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from xtc_study.model_folder import CONFIG
from xtc_study.model_source import BUILTIN, ModelError, resolve_model
from xtc_study.nearest import did_you_mean
from xtc_study.recipe import Recipe

ROLES = ("teacher", "pretrained")
"""What ``start`` may be that is no model."""
TIMEOUT = 5.0
"""Seconds the hub has to answer."""


def check_models(recipes: Iterable[Recipe], models_dir: Path | None = None) -> list[str]:
    """That the models and starts of these recipes are there.

    Returns:
        One sentence for each name of the hub that could not be asked about and is not in its cache here.

    Raises:
        ModelError: a folder that is not there or holds no model, or a name that the hub does not have.
    """
    names = dict.fromkeys((field, str(getattr(one, field))) for one in recipes for field in ("model", "start"))
    doubts = [_doubt(field, name, models_dir) for field, name in names if field == "model" or name not in ROLES]
    return [doubt for doubt in doubts if doubt]


def _doubt(field: str, name: str, models_dir: Path | None) -> str:
    try:
        source = resolve_model(name, models_dir)
    except ModelError as error:
        text = str(error).removeprefix("model=")
        text += "; expected one, or a name of the hub" if text.endswith("no such folder") else ""
        raise ModelError(f"{field}={text}") from None
    if source == BUILTIN or Path(source).is_dir():
        return ""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    roles = (*ROLES, BUILTIN) if field == "start" else (BUILTIN,)
    no_folder = f"{field}={name!r}: no such folder{f' here or in {models_dir}' if models_dir else ''}"
    try:
        if isinstance(try_to_load_from_cache(name, CONFIG), str):
            return ""
    except HFValidationError:
        raise ModelError(f"{no_folder}, and the hub's names are OWNER/NAME{did_you_mean(name, roles)}") from None
    known, why = _known_to_the_hub(name)
    if known is False or (known is None and "/" not in name):
        said = f"and {why}" if known is False else "and the hub's names are OWNER/NAME"
        raise ModelError(f"{no_folder}, {said}{did_you_mean(name, roles)}")
    if known:
        return ""
    return f"{no_folder}, not in the hub's cache, and {why}: give a folder with --model or --models-dir"


def _known_to_the_hub(name: str) -> tuple[bool | None, str]:
    """Whether the hub has it, None where it cannot be asked; and why not."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE or os.environ.get("TRANSFORMERS_OFFLINE", "0").lower() in ("1", "true", "yes", "on"):
        return None, "the hub is switched off (HF_HUB_OFFLINE)"
    return _answer(name)


@cache
def _answer(name: str) -> tuple[bool | None, str]:
    """The hub's, asked once a process: every study names the same few models, and no answer takes TIMEOUT."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        HfApi().model_info(name, timeout=TIMEOUT)
    except RepositoryNotFoundError:
        return False, "the hub has no such model (or it is private)"
    except Exception as error:  # no network, a proxy, a server that is down: each has its own class
        return None, f"the hub cannot be reached ({type(error).__name__})"
    return True, ""
