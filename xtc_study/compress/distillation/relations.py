"""Distil the relations among queries, among keys and among values of one layer.

Source: MiniLMv2 (Wang et al. 2021, arXiv 2012.15828), section 3: the vectors of all heads are concatenated and split
into relation heads of width d, whose scaled dot products A A^T / sqrt(d) pass through a softmax; the loss is the
divergence of the student's from the teacher's, the mean over rows and heads, summed over Q-Q, K-K and V-V with equal
weights. The relation heads are the student's heads. They are compared as they enter the attention's products: after a
rotary embedding and after rounding, where a model has these.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from xtc_study.compress.distillation.divergence import divergence

OPERANDS = 3
"""Queries, keys and values."""


def relation_loss(student: Sequence[Tensor], teacher: Sequence[Tensor], mask: Tensor | None) -> Tensor:
    """Sum KL(teacher || student) of the relations over queries, keys and values.

    Args:
        student: queries, keys and values, (batch, heads, positions, width) each.
        teacher: likewise; number and width of its heads may differ.
        mask: (batch, positions), 1 at real tokens: their rows count, and only they are related to. None counts all.

    Raises:
        ValueError: the student's number of heads does not divide the teacher's vectors.
    """
    heads = student[0].shape[1]
    padding = None if mask is None else mask[:, None, None, :] == 0
    total = torch.zeros((), device=student[0].device)
    for one, other in zip(student, teacher, strict=True):
        target = relation_scores(other, heads, padding).softmax(-1)
        total = total + divergence(relation_scores(one, heads, padding), target, mask)
    return total


def relation_scores(vectors: Tensor, heads: int, padding: Tensor | None) -> Tensor:
    """Return the scaled dot products of a batch's vectors with each other, (batch, relation heads, rows, positions).

    Args:
        vectors: (batch, heads, positions, width).
        heads: number of relation heads, into which the heads' vectors are regrouped.
        padding: true at positions that nothing is related to, (batch, 1, 1, positions); None: there are none.

    Raises:
        ValueError: the relation heads do not divide the vectors.
    """
    batch, own, positions, width = vectors.shape
    if own * width % heads:
        raise ValueError(f"attention_loss 'relations': {heads} heads do not divide vectors of {own * width} numbers")
    if own != heads:
        vectors = vectors.transpose(1, 2).reshape(batch, positions, heads, -1).transpose(1, 2)
    scores: Tensor = torch.matmul(vectors, vectors.transpose(-1, -2)).float() * vectors.shape[-1] ** -0.5
    return scores if padding is None else scores.masked_fill(padding, torch.finfo(scores.dtype).min)
