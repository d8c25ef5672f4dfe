"""Importance of each inner unit of the feed-forward layers: the first-order change of the loss without it.

Source: Molchanov et al. 2017 (arXiv:1611.06440), eq. 8, as used on BERT's units by DynaBERT (Hou et al. 2020).
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

from xtc_study.compress.distillation.losses import label_loss
from xtc_study.compress.reduction.width import feed_forwards

ROWS = 1024
"""Maximum number of training rows used, evenly spaced."""
BATCH_SIZE = 32


def importances(model: Any, rows: Any, padding: Any) -> list[Tensor]:
    """Return the importance of each unit, (units,) per layer, on the CPU.

    It is the mean over rows of |sum over positions of activation times gradient|, that is |dL/ds| where s scales the
    unit's activation at every position of the row.

    Args:
        model: a classifier; its mode and gradients are restored.
        rows: tokenised rows with labels.
        padding: collates rows into a batch.
    """
    rows = rows.select(range(0, len(rows), -(-len(rows) // ROWS)))
    parts = feed_forwards(model)
    totals = [torch.zeros(model.get_submodule(part.up).out_features) for part in parts]

    # Only the activations need gradients, not the weights.
    was_training, needed = model.training, [parameter.requires_grad for parameter in model.parameters()]
    model.eval().requires_grad_(False)
    activations: dict[str, Tensor] = {}

    with ExitStack() as stack:
        for part in parts:
            handle = model.get_submodule(part.down).register_forward_pre_hook(_keeper(activations, part.down))
            stack.callback(handle.remove)
        stack.callback(_put_back, model, was_training, needed)

        for start in range(0, len(rows), BATCH_SIZE):
            batch = padding([rows[index] for index in range(start, min(start + BATCH_SIZE, len(rows)))])
            inputs = {name: tensor.to(model.device) for name, tensor in batch.items()}
            labels = inputs.pop("labels")
            with torch.enable_grad():
                loss = label_loss(model(**inputs).logits, labels) * len(labels)  # a sum, so that rows are independent
                gradients = torch.autograd.grad(loss, [activations[part.down] for part in parts])
            for total, part, gradient in zip(totals, parts, gradients, strict=True):
                total += (activations[part.down].detach() * gradient).sum(1).abs().sum(0).cpu() / len(rows)
    return totals


def _keeper(activations: dict[str, Tensor], name: str) -> Any:
    """Return a hook that stores a linear layer's input, (batch, positions, units), and asks for its gradient."""

    def keep(module: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        (activation,) = inputs
        activations[name] = activation if activation.requires_grad else activation.requires_grad_()
        return inputs

    return keep


def _put_back(model: Any, training: bool, needed: list[bool]) -> None:
    model.train(training)
    for parameter, before in zip(model.parameters(), needed, strict=True):
        parameter.requires_grad_(before)
