"""Random inputs to compare two runtimes of one model on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xtc_study.deploy.loading import load


def probe_inputs(config: Any, batch: int, length: int, padded: bool = False) -> dict[str, torch.Tensor]:
    """Random ids and an attention mask, (batch, length) int64; each sentence shorter than the last if ``padded``."""
    generator = torch.Generator().manual_seed(batch * 1000 + length)
    ids = torch.randint(3, config.vocab_size, (batch, length), generator=generator)
    lengths = torch.linspace(length, length // 2, batch).long() if padded else torch.full((batch,), length)
    mask = torch.arange(length) < lengths[:, None]
    pad = config.pad_token_id or 0
    return {"input_ids": torch.where(mask, ids, pad), "attention_mask": mask.long()}


@torch.inference_mode()
def largest_difference(folder: Path, other: Callable[[Mapping[str, torch.Tensor]], Any]) -> float:
    """The largest |difference| of any logit between the packed folder and another runtime, padding included."""
    model = load(folder)
    length = min(64, getattr(model.config, "max_position_embeddings", 64) // 2)
    inputs = probe_inputs(model.config, 8, length, padded=True)
    return float(np.abs(model(**inputs).logits.numpy() - other(inputs)).max())
