"""Find the parts of an encoder by shape, not by name, so that any family with one stack of layers works."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn


class EncoderError(ValueError):
    """The model does not have exactly one stack of layers, one word table and one classifier."""


@dataclass(frozen=True)
class EncoderParts:
    """Names of modules, as in ``model.named_modules()``."""

    layers: str
    """The stack of transformer layers, e.g. ``bert.encoder.layer``."""
    layer_linears: tuple[str, ...]
    """Every linear inside the stack."""
    head_linears: tuple[str, ...]
    """Dense layers outside the stack, without the classifier: BERT's pooler, RoBERTa's classifier.dense, and
    projections from narrow word embeddings to the stack, such as ELECTRA's embeddings_project."""
    classifier: str
    """The last linear, whose outputs are the logits."""
    word_embeddings: str


def encoder_parts(model: Any) -> EncoderParts:
    """Find the parts of a transformers sequence classifier.

    Raises:
        EncoderError: the model is not an encoder with one stack of ``config.num_hidden_layers`` layers.
    """
    depth = model.config.num_hidden_layers
    family = type(model).__name__
    stacks = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == depth and any(_linears(module))
    ]

    # An outer list may contain inner lists of the same length; the stack is the outermost.
    stacks = [name for name in stacks if not any(name.startswith(f"{other}.") for other in stacks)]
    if len(stacks) != 1:
        raise EncoderError(f"{family}: expected one stack of {depth} layers, found {len(stacks)} {stacks}")

    # Linears in the order of the modules: the last one outside the stack is the classifier.
    stack = stacks[0]
    linears = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    inside = tuple(name for name in linears if name.startswith(f"{stack}."))
    outside = [name for name in linears if not name.startswith(f"{stack}.")]
    if not outside or model.get_submodule(outside[-1]).out_features != model.config.num_labels:
        raise EncoderError(f"{family}: expected a last linear with {model.config.num_labels} outputs (the classifier)")

    table = model.get_input_embeddings()
    word_embeddings = next(name for name, module in model.named_modules() if module is table)
    return EncoderParts(stack, inside, tuple(outside[:-1]), outside[-1], word_embeddings)


def positions(model: Any) -> int:
    """Return how many tokens the position table covers; RoBERTa's begins after its padding."""
    tables = [part for name, part in model.named_modules() if name.endswith(".position_embeddings")]
    if not tables or not hasattr(tables[0], "num_embeddings"):
        return int(getattr(model.config, "max_position_embeddings", 10**9))
    shift = tables[0].padding_idx + 1 if tables[0].padding_idx is not None else 0
    return int(tables[0].num_embeddings) - shift


def _linears(module: nn.Module) -> list[nn.Module]:
    return [part for part in module.modules() if isinstance(part, nn.Linear)]
