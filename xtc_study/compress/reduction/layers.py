"""Layer reduction: choose the teacher layers that a shallow student keeps, and build the student from them.

Source: XTC (Wu et al. 2022) section 4.2 and its released configs, which keep layers 1,3,5,7,9,11 of 12 for six
layers and 2,4,6,8,10 for five (counted from 0).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from xtc_study.compress.encoder_parts import encoder_parts
from xtc_study.share import Share


class LayersError(ValueError):
    """The teacher does not have the requested layers."""


def layer_map(
    teacher_depth: int, layers: int | str | Sequence[int] | None, field: str = "layers", of: str = "teacher"
) -> tuple[int, ...]:
    """Return the teacher layer (from 0) that each student layer copies and learns from.

    A count is spread evenly. If s = depth // count >= 2, these are the last layers of blocks of s, and the remainder
    is split between both ends (12 to 6: 1,3,..,11; 12 to 5: 2,4,..,10, as in the paper). Otherwise they are layers
    round((i+1) depth / count) - 1. A share such as ``5/12`` is the nearest count of at least 1.

    Args:
        teacher_depth: number of teacher layers.
        layers: a count, a share, a list of layers, or None for all.
        field: name of the recipe field, for messages.
        of: what is reduced, for messages; a teacher may itself be reduced from an encoder.

    Raises:
        LayersError: more layers than the teacher has, or a layer outside it.
    """
    if layers is None:
        return tuple(range(teacher_depth))
    if isinstance(layers, str):
        layers = Share.parse(layers).of(teacher_depth)

    # A count: spread evenly.
    if isinstance(layers, int):
        if not 1 <= layers <= teacher_depth:
            raise LayersError(f"{field}={layers}: expected 1 to {teacher_depth}, the {of}'s depth")
        stride, left = divmod(teacher_depth, layers)
        if stride >= 2:
            return tuple(left // 2 + stride * (i + 1) - 1 for i in range(layers))
        return tuple(round((i + 1) * teacher_depth / layers) - 1 for i in range(layers))

    # Named layers: each of them once.
    outside = [layer for layer in layers if not 0 <= layer < teacher_depth]
    if outside:
        raise LayersError(f"{field}={list(layers)}: {outside} outside the {of}'s layers 0 to {teacher_depth - 1}")
    if len(set(layers)) != len(layers):
        raise LayersError(f"{field}={list(layers)}: expected each {of} layer once")
    return tuple(layers)


def hidden_state_map(layers: Sequence[int]) -> tuple[int, ...]:
    """Return the teacher hidden state that each student hidden state learns from; index 0 is the embedding output.

    As in the authors' code: the student's embedding output learns from state m(0) - 1 (at least 0), the output of
    student layer k from state m(k) + 1. For 5 of 12 layers these are 1,3,5,7,9,11.

    Args:
        layers: m, the teacher layer of each student layer.
    """
    return (max(layers[0] - 1, 0), *(layer + 1 for layer in layers))


def reduced(model: Any, layers: Sequence[int]) -> Any:
    """Build a new model with only these layers of ``model``; every other parameter is copied too."""
    parts = encoder_parts(model)
    config = copy.deepcopy(model.config)
    for name, values in _per_layer(config).items():
        setattr(config, name, type(values)(values[layer] for layer in layers))
    config.num_hidden_layers = len(layers)
    student = type(model)(config)

    # Parameters outside the stack keep their names; those of a kept layer get its new number.
    kept = {f"{parts.layers}.{old}.": f"{parts.layers}.{new}." for new, old in enumerate(layers)}
    state = {}
    for name, tensor in model.state_dict().items():
        if not name.startswith(f"{parts.layers}."):
            state[name] = tensor
            continue
        prefix = next((old for old in kept if name.startswith(old)), None)
        if prefix is not None:
            state[kept[prefix] + name.removeprefix(prefix)] = tensor

    student.load_state_dict(state, strict=True)
    return student.to(model.device)


def _per_layer(config: Any) -> dict[str, Any]:
    """Fields of a configuration that have one value per layer.

    ModernBERT has ``layer_types``, Reformer ``attn_layers``, Longformer ``attention_window``.
    """
    return {
        name: values
        for name, values in vars(config).items()
        if ("layer" in name or name == "attention_window")
        and isinstance(values, list | tuple)
        and len(values) == config.num_hidden_layers
    }
