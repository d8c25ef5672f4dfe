"""Write a step's model to files under the model's own tensor names, and read it back.

transformers' ``save_pretrained`` writes some families (Nomic BERT, Jina embeddings v3, GTE, ESM) under the names of
their published checkpoints, which only ``from_pretrained`` can read, and only into a full-precision model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForSequenceClassification

from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.errors import one_line
from xtc_study.model_folder import WEIGHTS
from xtc_study.recipe import Recipe


class WrittenOtherwiseError(RuntimeError):
    """The model that was read back differs from the one that was written."""


def write_model(model: Any, folder: Path, state: dict[str, Any] | None = None) -> None:
    """Write config.json and model.safetensors of a classifier; low-bit layers are written as latent weights.

    Args:
        model: the classifier.
        folder: where the files are written.
        state: the tensors to write; None: those of the model.
    """
    # Always one file: save_pretrained splits files above 50 GB, more than any encoder has.
    model.save_pretrained(folder, state_dict=state, save_original_format=False)


def read_model(folder: Path, low_bit: Recipe | None = None) -> Any:
    """Return the model that ``write_model`` wrote, on the CPU.

    Args:
        folder: contains the files.
        low_bit: the recipe that made its layers low-bit; None: a full-precision model.

    Raises:
        Exception: the files are damaged; the errors of these libraries have no common base class.
    """
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    model = AutoModelForSequenceClassification.from_config(config)
    if low_bit is not None:
        make_low_bit(model, low_bit)
    model.load_state_dict(load_file(folder / WEIGHTS), strict=True)
    return model


def check_written(model: Any, folder: Path, low_bit: Recipe | None = None) -> None:
    """Check that reading the folder gives exactly this model.

    Args:
        model: the model that was written.
        folder: contains the files.
        low_bit: as for ``read_model``.

    Raises:
        WrittenOtherwiseError: the model differs or cannot be read; the message names the tensor or the error.
    """
    try:
        written = read_model(folder, low_bit).state_dict()
    except Exception as error:  # as for read_model
        raise WrittenOtherwiseError(f"{type(error).__name__}: {one_line(error)}") from error
    for name, tensor in model.state_dict().items():
        if not torch.equal(_bytes(tensor), _bytes(written[name])):
            raise WrittenOtherwiseError(f"{name} has other values")


def _bytes(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor's bytes, so that NaN equals NaN."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
