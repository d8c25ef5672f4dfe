"""A step's model as files: written under the names that the model itself has, and read back as it was written.

transformers' ``save_pretrained`` writes some families (Nomic BERT, Jina embeddings v3, GTE, ESM) under the names that
their published checkpoints have, which only ``from_pretrained`` can read, and that only in a plain model.
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
    """What was written is not what is read back."""


def write_model(model: Any, folder: Path, state: dict[str, Any] | None = None) -> None:
    """config.json and model.safetensors of a classifier, full-precision or with its low-bit layers' latent weights."""
    # One file, however large: 50 GB is more than any encoder has.
    model.save_pretrained(folder, state_dict=state, save_original_format=False)


def read_model(folder: Path, low_bit: Recipe | None = None) -> Any:
    """The model that ``write_model`` wrote, on the CPU.

    Args:
        low_bit: the recipe that made its layers low-bit; None: a full-precision model.

    Raises:
        Exception: whatever damaged files raise in these libraries, which has no base class in common.
    """
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    model = AutoModelForSequenceClassification.from_config(config)
    if low_bit is not None:
        make_low_bit(model, low_bit)
    model.load_state_dict(load_file(folder / WEIGHTS), strict=True)
    return model


def check_written(model: Any, folder: Path, low_bit: Recipe | None = None) -> None:
    """Checks that the folder gives back this very model.

    Raises:
        WrittenOtherwiseError: it does not; the message names what differs, or the error of reading it.
    """
    try:
        written = read_model(folder, low_bit).state_dict()
    except Exception as error:  # as for read_model
        raise WrittenOtherwiseError(f"{type(error).__name__}: {one_line(error)}") from error
    for name, tensor in model.state_dict().items():
        if not torch.equal(_bytes(tensor), _bytes(written[name])):
            raise WrittenOtherwiseError(f"{name} has other numbers")


def _bytes(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor's bytes, so that what is not a number equals itself."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
