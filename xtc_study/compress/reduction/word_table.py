"""Cut a word table to some of its rows. The kept rows do not change, bit for bit.

Training never looks up a row whose token does not occur in its text, so cutting the table before or after training
gives the same rows. It is cut after training, so that all arms of a study share their trainings.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from xtc_study.compress.encoder_parts import encoder_parts
from xtc_study.compress.quantization.layers import LowBitEmbedding


class VocabularyError(ValueError):
    """The model lacks a token, or counts positions from its padding token and that token would move."""


@torch.no_grad()
def cut_vocabulary(model: Any, kept: Sequence[int]) -> Any:
    """Return a copy of the model with only the tokens ``kept``; the n-th of them becomes token n.

    The word table, full-precision or low-bit, has at most one scale per row, so rows can be selected; those of a
    frozen table keep their integers and scales. Ids of special tokens in the configuration change accordingly.

    Args:
        model: an encoder with a classifier.
        kept: ids of the tokens to keep, in ascending order.

    Raises:
        VocabularyError: ids that are not ascending or not in the table; or the padding token is missing, or would move
            in a model that counts positions from it (RoBERTa).
    """
    size = model.get_input_embeddings().num_embeddings
    if list(kept) != sorted(set(kept)) or not kept or kept[0] < 0 or kept[-1] >= size:
        raise VocabularyError(f"tokens to keep: expected ascending ids from 0 to {size - 1}, each once")
    new = {old: place for place, old in enumerate(kept)}
    _check_padding(model, new)

    student = copy.deepcopy(model)
    table = student.get_input_embeddings()
    rows = torch.tensor(list(kept), device=table.weight.device)
    if isinstance(table, LowBitEmbedding):
        table.keep_rows(rows)
    else:
        table.weight = nn.Parameter(table.weight[rows], requires_grad=table.weight.requires_grad)
        table.num_embeddings = len(kept)

    # Fields that name a row by its number: the padding, and special ids in the config.
    if table.padding_idx is not None:
        table.padding_idx = new[table.padding_idx]
    for field, value in model.config.to_dict().items():
        if field.endswith("_token_id") and isinstance(value, int):
            setattr(student.config, field, new.get(value))
    student.config.vocab_size = len(kept)
    return student


def _check_padding(model: Any, new: dict[int, int]) -> None:
    padding = model.get_input_embeddings().padding_idx
    if padding is None or new.get(padding) == padding:
        return
    if padding not in new:
        raise VocabularyError(f"token {padding} pads this model's inputs; it must be kept")
    words = encoder_parts(model).word_embeddings
    counted = [
        name
        for name, part in model.named_modules()
        if isinstance(part, nn.Embedding) and name != words and part.padding_idx == padding
    ]
    if counted:
        raise VocabularyError(
            f"this model counts positions from its padding token ({counted[0]}), which would move from {padding} to "
            f"{new[padding]}; keep every token before it"
        )
