"""Where an encoder comes from: the built-in one, a hub name, or a local folder. Imports no torch and loads nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from xtc_study.model_folder import CONFIG, METHOD

BUILTIN = "builtin:tiny"
BUILTIN_CONFIG: dict[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 256,
    "max_position_embeddings": 64,
    "initializer_range": 0.05,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
"""A BERT small enough to learn the generated tasks from scratch in seconds; it has no pre-trained weights."""

TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model", "spm.model")
"""A folder with a tokenizer holds one of these."""
BERT_BASE = ("google-bert/bert-base-uncased", "bert-base-uncased")
"""Hub names of BERT-base, whose shape is known without its files."""


class ModelError(ValueError):
    """A model that cannot be loaded. The message names the model and the fix."""


def resolve_model(name: str, models_dir: Path | None = None) -> str:
    """Return what to pass to ``from_pretrained`` for a recipe's model name: ``models_dir/name`` if it exists, else the
    name itself.

    Raises:
        ModelError: a path that does not exist, a packed folder, or a folder without config.json or without weights in
            safetensors form.
    """
    if name == BUILTIN:
        return name
    if name.startswith("builtin:"):
        raise ModelError(f"model={name!r}: the only built-in encoder is {BUILTIN!r}")
    local = _inside(models_dir, name)
    folder = local if local is not None and local.is_dir() else Path(name)
    if not folder.is_dir():
        if folder.is_absolute() or name.startswith("."):
            raise ModelError(f"model={name!r}: no such folder")
        return name
    if not (folder / CONFIG).is_file():
        raise ModelError(f"model={name!r}: {folder} has no config.json; expected a transformers model folder")
    _refuse_packed(name, folder)
    if not any(folder.glob("*.safetensors")):
        raise ModelError(
            f"model={name!r}: {folder} has no weights (*.safetensors); pickled weights (*.bin) are never read: "
            "convert them with model.save_pretrained(folder)"
        )
    return str(folder)


def _refuse_packed(name: str, folder: Path) -> None:
    """Refuse a packed folder: it holds a finished low-bit student, which cannot be trained further."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        packed = config["quantization_config"]["quant_method"] == METHOD
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return  # not a packed folder, whatever else it is
    if packed:
        raise ModelError(
            f"model={name!r}: {folder} is a packed folder, a finished student whose weights are a few bits; give the "
            "encoder that its README.md names, or use the folder as it is with xtc-study predict"
        )


def _inside(folder: Path | None, name: str) -> Path | None:
    """Return ``folder/name``, or None if that would leave the folder."""
    if folder is None:
        return None
    root = os.path.abspath(folder)
    candidate = Path(os.path.normpath(os.path.join(root, name)))  # a link the user put there may lead elsewhere
    return candidate if candidate.is_relative_to(root) else None
