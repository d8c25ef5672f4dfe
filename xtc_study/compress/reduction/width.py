"""Structured pruning of width: keep a share of the inner units of each feed-forward layer, the same number in all.

A unit is one row of the first linear with its bias, and one column of the second. The result is an ordinary encoder
with a smaller ``intermediate_size``: it needs no mask and no special format, and is smaller and faster everywhere.
Heads are not pruned, because transformers' configurations tie their number to the width of the hidden states.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from xtc_study.compress.encoder_parts import encoder_parts
from xtc_study.share import Share

SIZE_FIELDS = ("intermediate_size", "hidden_dim")
"""Configuration fields for the number of inner units; the second is DistilBERT's."""


class WidthError(ValueError):
    """The layers of the encoder have no plain feed-forward part, or lack the requested units."""


class FeedForward(NamedTuple):
    """Names of a layer's two linears, as in ``model.named_modules()``."""

    up: str
    """(units, hidden)."""
    down: str
    """(hidden, units)."""


def feed_forwards(model: Any) -> list[FeedForward]:
    """Find the feed-forward part of each layer by its shape.

    Raises:
        WidthError: a layer does not have exactly one pair of linears from the hidden states to the configured number
            of units and back (gated units, as in ModernBERT, have none).
    """
    parts, hidden, units = encoder_parts(model), model.config.hidden_size, units_of(model)
    pairs = []
    for layer in range(model.config.num_hidden_layers):
        names = [name for name in parts.layer_linears if name.startswith(f"{parts.layers}.{layer}.")]
        shapes = {name: tuple(model.get_submodule(name).weight.shape) for name in names}
        up = [name for name in names if shapes[name] == (units, hidden)]
        down = [name for name in names if shapes[name] == (hidden, units)]
        if len(up) != 1 or len(down) != 1 or up == down:
            raise WidthError(
                f"{type(model).__name__}: layer {layer} has {len(up)} linears from {hidden} to {units} and "
                f"{len(down)} back; expected one of each"
            )
        pairs.append(FeedForward(up[0], down[0]))
    return pairs


def units_of(model: Any) -> int:
    """Return the number of inner units of each feed-forward layer.

    Raises:
        WidthError: the configuration has no field for it.
    """
    return int(getattr(model.config, _size_field(model)))


def magnitudes(model: Any) -> list[Tensor]:
    """Return for each layer the magnitude of its units, (units,): the norm of a unit's row times that of its column.

    This is the norm of the matrix that the unit would contribute if its activation function were the identity.
    """
    sizes = []
    for part in feed_forwards(model):
        up, down = (model.get_submodule(name).weight.detach().float() for name in part)
        sizes.append(up.norm(dim=1) * down.norm(dim=0))
    return sizes


def kept_units(scores: Sequence[Tensor], share: str) -> list[Tensor]:
    """Return for each layer the units with the highest scores, in ascending order; ties keep the first.

    Args:
        scores: (units,) per layer.
        share: share of units to keep, such as ``1/4``, rounded to the nearest number of at least 1.
    """
    count = Share.parse(share).of(len(scores[0]))
    return [score.sort(descending=True, stable=True).indices[:count].sort().values for score in scores]


@torch.no_grad()
def narrowed(model: Any, kept: Sequence[Tensor]) -> Any:
    """Build a new model with only these inner units of each layer; every other parameter is copied.

    Args:
        model: an encoder with a classifier.
        kept: the units to keep of each layer.

    Raises:
        WidthError: not one list per layer, or lists of different lengths.
    """
    parts = feed_forwards(model)
    if len(kept) != len(parts) or len({len(units) for units in kept}) != 1:
        raise WidthError(f"units to keep: expected {len(parts)} lists of equal length, one per layer")

    config = copy.deepcopy(model.config)
    setattr(config, _size_field(model), len(kept[0]))
    student = type(model)(config)

    # A unit is a row of ``up``, with its bias, and a column of ``down``.
    state = dict(model.state_dict())
    for part, units in zip(parts, kept, strict=True):
        units = units.to(model.device)
        state[f"{part.up}.weight"] = state[f"{part.up}.weight"][units]
        if f"{part.up}.bias" in state:
            state[f"{part.up}.bias"] = state[f"{part.up}.bias"][units]
        state[f"{part.down}.weight"] = state[f"{part.down}.weight"][:, units]
    student.load_state_dict(state, strict=True)
    return student.to(model.device)


def _size_field(model: Any) -> str:
    for field in SIZE_FIELDS:
        if hasattr(model.config, field):
            return field
    raise WidthError(f"{type(model).__name__}: its configuration has none of {', '.join(SIZE_FIELDS)}")
