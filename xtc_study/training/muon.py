"""Muon for the matrices of a student's linears, AdamW for every other parameter, as one optimiser.

Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) moves a matrix by its momentum, orthogonalised: all
singular values become about 1, by five Newton-Schulz iterations in bfloat16. torch's own is used. It multiplies the
rate by 0.2 sqrt(max(rows, columns)) (Liu et al. 2025, arXiv 2502.16982), so that an update has about the
root mean square of AdamW's, and rate and decay mean the same for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from xtc_study.compress.encoder_parts import encoder_parts
from xtc_study.compress.quantization.layers import LowBitLinear
from xtc_study.recipe import Recipe

SINCE = "2.9"
"""The version of torch that brought ``torch.optim.Muon``."""


def check_optimizer(recipe: Recipe) -> None:
    """Check that this torch has the recipe's optimiser.

    Raises:
        ValueError: it has no Muon.
    """
    if recipe.optimizer == "muon" and not hasattr(torch.optim, "Muon"):
        raise ValueError(
            f"optimizer='muon' needs torch {SINCE} or newer, which has torch.optim.Muon; this is torch "
            f"{torch.__version__}. Install a newer torch, or choose optimizer 'adamw'"
        )


def muon_matrices(model: Any) -> list[nn.Parameter]:
    """Return the weights that Muon moves: of all linears in the encoder's layers, and of low-bit ones outside them.

    Embeddings, norms, biases, the classifier, and a pooler in full precision are AdamW's.

    Args:
        model: a transformers sequence classifier, in full precision or low-bit.
    """
    inside = encoder_parts(model).layer_linears
    linears = [module for name, module in model.named_modules() if name in inside or isinstance(module, LowBitLinear)]
    return [linear.weight for linear in linears if linear.weight.requires_grad]


class MuonWithAdamW(Optimizer):
    """One optimiser whose first groups take AdamW's steps and whose last ones Muon's.

    Both halves share its groups and its state, so a schedule changes the rates of all, each from its own peak, and a
    checkpoint holds all. AdamW's groups come first: their rate is the one that a Trainer reports.

    Args:
        adamw: made for all parameters, without a step taken; keeps those that Muon does not take.
        matrices: the parameters that Muon takes, (rows, columns) each. They keep the weight decay of their group.
        learning_rate: Muon's peak rate, in the unit of AdamW's.
    """

    def __init__(self, adamw: Optimizer, matrices: Sequence[nn.Parameter], learning_rate: float) -> None:
        chosen, groups = set(matrices), []
        for group in adamw.param_groups:
            taken = [parameter for parameter in group["params"] if parameter in chosen]
            group["params"] = [parameter for parameter in group["params"] if parameter not in chosen]
            if taken:
                groups.append({"params": taken, "weight_decay": group["weight_decay"]})
        self.adamw = adamw
        self.muon = torch.optim.Muon(groups, lr=learning_rate, adjust_lr_fn="match_rms_adamw")
        super().__init__([*adamw.param_groups, *self.muon.param_groups], {})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take one step with the current gradients; a closure is not supported."""
        # Loading a checkpoint replaces groups and state, so the halves get them here.
        first = len(self.param_groups) - len(self.muon.param_groups)
        for half, groups in ((self.adamw, self.param_groups[:first]), (self.muon, self.param_groups[first:])):
            half.param_groups, half.state = groups, self.state
            half.step()
