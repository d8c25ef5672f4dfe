"""Low-bit inputs of the two matrix products inside attention: queries, keys, probabilities and values.

TernaryBERT (Zhang et al. 2020) and BinaryBERT quantise them; the released XTC configs do not, so their "8-bit
activations" say less. Here each is symmetric, with one scale for a row of its last dimension. As with every
activation the gradient passes straight through.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, eager_mask

from xtc_study.compress.activations import ActivationFormat, quantize_activation
from xtc_study.compress.straight_through import StraightThrough
from xtc_study.compress.taps import attention_with_scores

PREFIX = "xtc_quantised_"
FIELD = "xtc_attention_bits"
"""In the model's config, so that a saved model says how it attends."""


def quantise_attention(model: Any, bits: int) -> None:
    """Makes the model attend with ``bits`` bits from now on, and notes it in its config.

    Raises:
        ValueError: bits outside 2 to 8.
    """
    name = f"{PREFIX}{bits}"
    AttentionInterface.register(name, partial(low_bit_attention, form=ActivationFormat(bits)))
    AttentionMaskInterface.register(name, eager_mask)
    setattr(model.config, FIELD, bits)
    model.set_attn_implementation(name)


def restore_attention(model: Any) -> None:
    """Makes a loaded model attend as its config says."""
    bits = getattr(model.config, FIELD, None)
    if bits is not None:
        quantise_attention(model, bits)


def low_bit_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    form: ActivationFormat,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[Tensor, Tensor]:
    """As ``taps.attention_with_scores``, with every operand of both products quantised; the scores are of the
    quantised queries and keys."""
    query, key, value = (_rounded(operand, form) for operand in (query, key, value))
    rounded = partial(_rounded, form=form)
    return attention_with_scores(module, query, key, value, attention_mask, scaling, dropout, probabilities=rounded)


def _rounded(x: Tensor, form: ActivationFormat) -> Tensor:
    integers, scale = quantize_activation(x, form)
    assert scale is not None  # quantize_activation always gives one
    rounded: Tensor = StraightThrough.apply(x, (integers * scale).to(x.dtype))  # type: ignore[no-untyped-call]
    return rounded
