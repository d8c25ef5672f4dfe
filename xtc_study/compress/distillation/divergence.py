"""The Kullback-Leibler divergence of attention-like probabilities, which are the largest tensors of a step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def divergence(scores: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
    """Return the mean over rows of KL(target || softmax(scores)) = sum over keys of target (ln target - ln softmax).

    Keys with a target of 0 add nothing, so padding that both mask has no influence.

    Args:
        scores: the student's, with the mask added, (batch, heads, queries, keys).
        target: the teacher's probabilities, same shape; each row that counts sums to 1.
        weight: (batch, queries), 1 at rows that count, else 0; None counts every row.
    """
    heads = scores.shape[1]
    counted: Tensor | int = scores[..., 0].numel()
    if weight is not None:
        weight = weight[:, None, :, None].float()
        counted = weight.sum() * heads
    total: Tensor = _Divergence.apply(scores, target, weight)  # type: ignore[no-untyped-call]
    return total / counted


class _Divergence(torch.autograd.Function):
    """The weighted sum of the rows' divergences in float32, for weights of 0 and 1.

    Its gradient is softmax(scores) - target, the one tensor that is kept for the backward pass; autograd's own
    operations would keep three.
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        log, target = scores.float().log_softmax(-1), target.float()
        terms = torch.xlogy(target, target).sub_(target * log)
        difference = log.exp_().sub_(target)
        if weight is not None:
            terms.mul_(weight)
            difference.mul_(weight)
        ctx.save_for_backward(difference)
        ctx.dtype = scores.dtype
        return terms.sum()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (difference,) = ctx.saved_tensors
        return (difference * grad).to(ctx.dtype), None, None
