"""A word table cut to some of its rows. The rows that stay are what they were, bit for bit.

Training never looks up a row whose token its text does not have, so it makes no difference to the others whether
the table is cut before training or after it. It is cut after, and every arm of a study shares its trainings.
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
    """Tokens the model does not have, or a model that counts positions from its padding token, which moves."""


@torch.no_grad()
def cut_vocabulary(model: Any, kept: Sequence[int]) -> Any:
    """A copy of the model that knows only the tokens ``kept``, rising ids; the n-th of them becomes token n.

    The word table, full precision or low-bit, has one scale a row at most, so its rows can be taken one by one; those
    of a frozen table keep their integers and scales. Ids of special tokens in the configuration move too.

    Raises:
        VocabularyError: ids that are not rising or outside the table; the padding token left out, or moved in a model
            that counts positions from it (RoBERTa).
    """
    size = model.get_input_embeddings().num_embeddings
    if list(kept) != sorted(set(kept)) or not kept or kept[0] < 0 or kept[-1] >= size:
        raise VocabularyError(f"tokens to keep: expected rising ids from 0 to {size - 1}, each once")
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

    # What names a row by its number: the padding, and special ids in the config.
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
            f"this model counts positions from its padding piece ({counted[0]}), which would move from {padding} to "
            f"{new[padding]}; keep every piece before it"
        )
