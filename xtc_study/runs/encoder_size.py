"""Counts the parameters of an encoder, from the headers of its weights or a known shape. Imports no torch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from xtc_study.model_folder import WEIGHTS
from xtc_study.model_source import BERT_BASE, BUILTIN, BUILTIN_CONFIG, ModelError, resolve_model
from xtc_study.tasks.generated.vocabulary import VOCABULARY

LAYER = re.compile(r"(?:^|\.)(?:\w*layers?|blocks?)\.(\d+)\.")
"""The number of a tensor's layer: ``bert.encoder.layer.3.output.dense.weight``."""


class EncoderSize(NamedTuple):
    """Depth and number of parameters of an encoder."""

    depth: int
    in_layers: int
    """Parameters of all layers together."""
    outside: int
    """Parameters of the tables and the head."""

    def parameters(self, share: float = 1.0, ffn: float = 1.0) -> int:
        """Return the number of parameters with a share of the layers, and of the feed-forward units in each."""
        # The feed-forward part is two thirds of a layer.
        return round(self.outside + self.in_layers * share * (1 + 2 * ffn) / 3)


def encoder_size(name: str, models_dir: Path | None = None) -> EncoderSize | None:
    """Return the size of a model by name; None where its weights are not on this machine."""
    if name == BUILTIN:
        return _bert(**BUILTIN_CONFIG, vocab_size=len(VOCABULARY))
    try:
        source = Path(resolve_model(name, models_dir))
    except ModelError:
        return None
    if source.is_dir():
        return _of_files(sorted(source.glob("*.safetensors")))
    cached = _cached(name)
    if cached is not None:
        return _of_files([cached])
    return _bert() if name in BERT_BASE else None


def _bert(
    vocab_size: int = 30_522,
    hidden_size: int = 768,
    num_hidden_layers: int = 12,
    intermediate_size: int = 3072,
    max_position_embeddings: int = 512,
    **other: Any,
) -> EncoderSize:
    """Return the size of a BERT of this configuration; the defaults are BERT-base's."""
    wide, inner = hidden_size, intermediate_size
    layer = 4 * (wide * wide + wide) + 2 * wide * inner + inner + wide + 4 * wide
    outside = (vocab_size + max_position_embeddings + 2 + 2) * wide + wide * wide + wide
    return EncoderSize(num_hidden_layers, num_hidden_layers * layer, outside)


def _of_files(files: list[Path]) -> EncoderSize | None:
    from safetensors import SafetensorError, safe_open

    inside: dict[int, int] = {}
    outside = 0
    try:
        for path in files:
            with safe_open(path, framework="numpy") as file:
                for name in file.keys():  # noqa: SIM118
                    numbers = 1
                    for side in file.get_slice(name).get_shape():
                        numbers *= side
                    if layer := LAYER.search(name):
                        inside[int(layer[1])] = inside.get(int(layer[1]), 0) + numbers
                    else:
                        outside += numbers
    except (OSError, SafetensorError):
        return None
    return EncoderSize(len(inside), sum(inside.values()), outside) if outside else None


def _cached(name: str) -> Path | None:
    """Return the cached weights of a hub model, without using the network; None if they are not cached."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        cached = try_to_load_from_cache(name, WEIGHTS)
    except HFValidationError:
        return None
    return Path(cached) if isinstance(cached, str) else None
