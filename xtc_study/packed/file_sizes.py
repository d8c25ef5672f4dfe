"""Measure how the bytes of a weight file are used, and compute the model's size in float32."""

from __future__ import annotations

from pathlib import Path

import torch

from xtc_study.model_folder import WEIGHTS
from xtc_study.packed.checkpoint import packed_modules, read_tensors
from xtc_study.packed.checksums import read_config


def bytes_by_part(folder: Path) -> dict[str, int]:
    """Return the bytes of word table, matrices, scales, rest and header, which add up to the weight file's length.

    Matrices are the packed linears or, in a file without packed weights, all matrices that are not embedding tables.
    The header holds the name, shape and position of every tensor. The rest is everything else.

    Raises:
        CheckpointError: the weight file or the configuration cannot be read.
    """
    packed, _ = packed_modules(folder, read_config(folder))
    tensors = read_tensors(folder)
    matrices = set(packed) or {name.rpartition(".")[0] for name, tensor in tensors.items() if tensor.ndim == 2}
    parts = dict.fromkeys(("word table", "matrices", "scales", "rest"), 0)
    for name, tensor in tensors.items():
        module, _, leaf = name.rpartition(".")
        part = "scales" if leaf == "weight_scale" else "rest"
        if leaf == "weight" and module.endswith("word_embeddings"):
            part = "word table"
        elif leaf == "weight" and "embeddings" not in module and module in matrices:
            part = "matrices"
        parts[part] += tensor.numel() * tensor.element_size()
    return parts | {"header": (folder / WEIGHTS).stat().st_size - sum(parts.values())}


def fp32_bytes(folder: Path) -> int:
    """Return the size in float32 of the folder's architecture, with the same depth, widths and vocabulary."""
    from transformers import AutoConfig, AutoModelForSequenceClassification

    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(AutoConfig.from_pretrained(folder))
    return 4 * sum(int(parameter.numel()) for parameter in model.parameters())
