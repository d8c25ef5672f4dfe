"""Read attention scores before the softmax from any encoder that uses transformers' AttentionInterface.

No model file is copied or patched: a model switched to ``xtc_scores`` computes plain attention and returns its scores
(batch, heads, queries, keys) in ``outputs.attentions``, where transformers' own implementations return probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from xtc_study.compress.distillation.attention_tape import open_tape
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
    """Compute attention and return its output (batch, queries, heads, width) and the scores before the mask is added.

    An open ``AttentionTape`` records the layer; with a stand-in, the output is that of the other's attention, and the
    scores are still the model's own.

    Args:
        module: the attention layer; dropout is applied if it is in training mode.
        query: (batch, heads, positions, width).
        key: same shape.
        value: same shape.
        attention_mask: additive, or None.
        scaling: factor of the scores; None: 1 / sqrt(width).
        dropout: probability.
        probabilities: applied to the probabilities before they are multiplied with the values.
        kwargs: further arguments that transformers passes; ignored.
    """
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = torch.matmul(query, key.transpose(-1, -2)) * scale
    masked = scores if attention_mask is None else scores + attention_mask
    weights = masked.softmax(-1)
    tape = open_tape()
    if tape is not None:
        weights = tape.mapped((query, key, value), masked, weights)
    weights = dropout_of(weights, dropout, module.training)
    if probabilities is not None:
        weights = probabilities(weights)
    output = torch.matmul(weights, value).transpose(1, 2).contiguous()
    return output if tape is None else tape.finished(output), scores


def additive_mask(dtype: torch.dtype = torch.float32, **kwargs: Any) -> Tensor | None:
    """Make the mask that is added to scores: 0 where a query may look, else the lowest number.

    As transformers' ``eager_mask``, which in some versions copies a number from the CPU; a CUDA graph cannot capture
    that.

    Args:
        dtype: of the mask.
        kwargs: as transformers passes them to ``sdpa_mask``.
    """
    allowed = sdpa_mask(**{**kwargs, "allow_is_causal_skip": False})
    if allowed is None:
        return None
    return torch.zeros_like(allowed, dtype=dtype).masked_fill_(~allowed, torch.finfo(dtype).min)


AttentionInterface.register(NAME, attention_with_scores)
AttentionMaskInterface.register(NAME, additive_mask)


def attend_by(model: Any, name: str) -> None:
    """Make the model use the attention function registered as ``name``.

    Raises:
        EncoderError: the model's family has its own attention code. transformers only logs that and changes nothing,
            and the model would still return probabilities where scores are expected.
    """
    model.set_attn_implementation(name)
    if model.config._attn_implementation != name:
        raise EncoderError(
            f"{model.config.model_type} has its own attention code instead of transformers' AttentionInterface, so "
            "its attention can be neither distilled nor quantised; choose another model, or a recipe that does neither"
        )


@contextmanager
def hook_attention_scores(*models: Any) -> Iterator[None]:
    """Within the block, ``model(..., output_attentions=True).attentions`` holds scores for each of the models.

    A model with quantised attention returns scores anyway and is left as it is.

    Raises:
        EncoderError: a model cannot return attention scores.
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
