"""Quantise the operands of the two matrix products inside attention: queries, keys, probabilities and values.

TernaryBERT (Zhang et al. 2020) and BinaryBERT quantise them; the released XTC configs do not, so their "8-bit
activations" cover less. Here each operand is quantised symmetrically, with one scale per row of its last dimension. As
with every activation, the gradient passes straight through.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from xtc_study.compress.distillation.attention_scores import additive_mask, attend_by, attention_with_scores
from xtc_study.compress.quantization.activations import ActivationFormat, quantize_activation
from xtc_study.compress.quantization.straight_through import StraightThrough

PREFIX = "xtc_quantised_"
FIELD = "xtc_attention_bits"
"""Field of the model's config, so that a saved model keeps its kind of attention."""


def quantize_attention(model: Any, bits: int) -> None:
    """Make the model compute attention with ``bits`` bits, and record that in its config.

    Raises:
        ValueError: bits outside 2 to 8, or (EncoderError) a model with its own attention code.
    """
    attend_by(model, _registered(bits))
    setattr(model.config, FIELD, bits)


def restore_attention(model: Any) -> None:
    """Make a loaded model compute attention as its config records.

    A model with its own attention code computes it as in training: older versions wrote files of such models, although
    the field had no effect on them.
    """
    bits = getattr(model.config, FIELD, None)
    if bits is not None:
        model.set_attn_implementation(_registered(bits))


def _registered(bits: int) -> str:
    """Register attention at ``bits`` bits with transformers and return its name."""
    name = f"{PREFIX}{bits}"
    AttentionInterface.register(name, partial(low_bit_attention, fmt=ActivationFormat(bits)))
    AttentionMaskInterface.register(name, additive_mask)
    return name


def low_bit_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    fmt: ActivationFormat,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[Tensor, Tensor]:
    """Compute ``attention_with_scores`` with every operand of both products quantised.

    The scores are those of the quantised queries and keys.
    """
    query, key, value = (_rounded(operand, fmt) for operand in (query, key, value))
    rounded = partial(_rounded, fmt=fmt)
    return attention_with_scores(module, query, key, value, attention_mask, scaling, dropout, probabilities=rounded)


def _rounded(x: Tensor, fmt: ActivationFormat) -> Tensor:
    integers, scale = quantize_activation(x, fmt)
    assert scale is not None  # quantize_activation always returns one
    rounded: Tensor = StraightThrough.apply(x, (integers * scale).to(x.dtype))  # type: ignore[no-untyped-call]
    return rounded
