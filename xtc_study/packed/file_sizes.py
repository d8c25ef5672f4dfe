"""What the bytes of a weight file are, and what the same model takes in float32."""

from __future__ import annotations

from pathlib import Path

import torch

from xtc_study.model_folder import WEIGHTS
from xtc_study.packed.checkpoint import packed_modules, read_tensors
from xtc_study.packed.checksums import read_config


def bytes_by_part(folder: Path) -> dict[str, int]:
    """Bytes of the folder's weight file: word table, matrices, scales, rest and header; their sum is its length.

    Matrices are the packed linears; in a file without packed weights every matrix that is no embedding table. The
    header holds the name, the shape and the place of every tensor. The rest is all else.

    Raises:
        CheckpointError: no readable weight file or configuration.
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
    """Four bytes for every parameter of the folder's architecture as it is: same depth, widths and vocabulary."""
    from transformers import AutoConfig, AutoModelForSequenceClassification

    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(AutoConfig.from_pretrained(folder))
    return 4 * sum(int(parameter.numel()) for parameter in model.parameters())
