"""Distil attention maps by their divergence, and the attention's outputs by their error.

Source: Kim et al., "Understanding and Improving Knowledge Distillation for Quantization-Aware Training of Large
Transformer Encoders" (EMNLP 2022, arXiv 2211.11014), who find the squared error of the scores (TernaryBERT's, XTC's)
insufficient below two bits. Here the output is the context, before the output projection, and the divergence is that
of probabilities before dropout, and before they are rounded where attention is quantised: rounded ones may be 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from xtc_study.compress.distillation.divergence import divergence
from xtc_study.compress.distillation.losses import hidden_loss


def map_loss(student: Sequence[Tensor], teacher: Sequence[Tensor], mask: Tensor | None) -> Tensor:
    """Sum over layers KL(teacher || student), the mean over query rows and heads.

    Args:
        student: scores with the mask added, (batch, heads, queries, keys) each.
        teacher: as many probabilities, same shapes.
        mask: (batch, positions), 1 at real tokens: their rows count. None counts every row. Keys that are padding have
            probability 0 in both models either way.
    """
    rows = [divergence(scores, target, mask) for scores, target in zip(student, teacher, strict=True)]
    return torch.stack(rows).sum()


def context_loss(student: Sequence[Tensor], teacher: Sequence[Tensor], mask: Tensor | None) -> Tensor:
    """Sum over layers the mean squared errors of contexts (batch, positions, heads * width) at real tokens.

    Args:
        student: contexts.
        teacher: as many, same shapes.
        mask: (batch, positions), 1 at real tokens; None counts every position.
    """
    return hidden_loss(student, teacher, mask)
