"""Checks that the models which recipes name exist, before anything is planned or trained. Imports no torch."""

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
"""Values of ``start`` that name no model."""
TIMEOUT = 5.0
"""Seconds the hub has to answer."""


def check_models(recipes: Iterable[Recipe], models_dir: Path | None = None) -> list[str]:
    """Check that the models and starts of these recipes exist.

    Args:
        recipes: that name the models.
        models_dir: a folder that holds models by name.

    Returns:
        One sentence for each hub name that is not in the local cache and could not be looked up.

    Raises:
        ModelError: a folder that does not exist or holds no model, or a name that the hub does not have.
    """
    names = dict.fromkeys((field, str(getattr(one, field))) for one in recipes for field in ("model", "start"))
    doubts = [_doubt(field, name, models_dir) for field, name in names if field == "model" or name not in ROLES]
    return [doubt for doubt in doubts if doubt]


def _doubt(field: str, name: str, models_dir: Path | None) -> str:
    try:
        source = resolve_model(name, models_dir)
    except ModelError as error:
        text = str(error).removeprefix("model=")
        text += "; give an existing folder or a hub name" if text.endswith("no such folder") else ""
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
        reason = why if known is False else "the hub's names are OWNER/NAME"
        raise ModelError(f"{no_folder}, and {reason}{did_you_mean(name, roles)}")
    if known:
        return ""
    return f"{no_folder}, not in the hub's cache, and {why}: give a folder with --model or --models-dir"


def _known_to_the_hub(name: str) -> tuple[bool | None, str]:
    """Return whether the hub has a model (None: it cannot be asked), and the reason if not."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE or os.environ.get("TRANSFORMERS_OFFLINE", "0").lower() in ("1", "true", "yes", "on"):
        return None, "the hub is switched off (HF_HUB_OFFLINE)"
    return _look_up(name)


@cache
def _look_up(name: str) -> tuple[bool | None, str]:
    """Ask the hub, once per process: every study names the same few models, and waiting in vain takes TIMEOUT."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        HfApi().model_info(name, timeout=TIMEOUT)
    except RepositoryNotFoundError:
        return False, "the hub has no such model (or it is private)"
    except Exception as error:  # no network, a proxy or a server that is down: each raises its own class
        return None, f"the hub cannot be reached ({type(error).__name__})"
    return True, ""
