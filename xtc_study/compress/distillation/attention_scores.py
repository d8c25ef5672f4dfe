"""Attention scores before the softmax, read from any encoder that uses transformers' AttentionInterface.

No model file is copied or patched: a model switched to ``xtc_scores`` computes plain attention and hands its scores
(batch, heads, queries, keys) to the caller in ``outputs.attentions``, where others return the probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, eager_mask

from xtc_study.compress.distillation.dropout import dropout as dropout_of
from xtc_study.compress.encoder_parts import EncoderError

NAME = "xtc_scores"


def attention_with_scores(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    probabilities: Callable[[Tensor], Tensor] | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor]:
    """Attention output (batch, queries, heads, width) and the scores, taken before the mask is added.

    Args:
        module: the attention layer; its mode decides on dropout.
        query: (batch, heads, positions, width).
        key: of the same shape.
        value: of the same shape.
        attention_mask: additive, or None.
        scaling: of the scores; None: 1 / sqrt(width).
        dropout: probability.
        probabilities: applied to the probabilities before their product with the values.
        kwargs: whatever else transformers passes; not used.
    """
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = torch.matmul(query, key.transpose(-1, -2)) * scale
    masked = scores if attention_mask is None else scores + attention_mask
    weights = dropout_of(masked.softmax(-1), dropout, module.training)
    if probabilities is not None:
        weights = probabilities(weights)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), scores


AttentionInterface.register(NAME, attention_with_scores)
AttentionMaskInterface.register(NAME, eager_mask)


def attend_by(model: Any, name: str) -> None:
    """Makes the model attend by the registered function ``name``.

    Raises:
        EncoderError: its family computes attention by itself. transformers only logs that and changes nothing; the
            model would still return probabilities where scores are expected.
    """
    model.set_attn_implementation(name)
    if model.config._attn_implementation != name:
        raise EncoderError(
            f"{model.config.model_type} computes attention by code of its own and not by transformers' "
            "AttentionInterface, so its scores can be neither distilled nor quantised"
        )


@contextmanager
def hook_attention_scores(*models: Any) -> Iterator[None]:
    """Inside the block, ``model(..., output_attentions=True).attentions`` holds scores for each of the models.

    A model whose attention is quantised gives its scores anyway and is left as it is.

    Raises:
        EncoderError: a model that gives no attention scores.
    """
    plain = [model for model in models if not model.config._attn_implementation.startswith("xtc_")]
    before = [model.config._attn_implementation for model in plain]
    try:
        for model in plain:
            attend_by(model, NAME)
        yield
    finally:
        for model, implementation in zip(plain, before, strict=True):
            model.set_attn_implementation(implementation)
