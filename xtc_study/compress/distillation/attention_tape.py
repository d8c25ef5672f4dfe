"""Record what the attention layers of a forward pass compute, or put other attention in its place.

A model whose attention is ``attention_with_scores`` (directly, or as part of quantised attention) writes to the tape
that is open. Layers are numbered in the order in which they run, so no module of any family is known by name, and a
layer whose weights serve several depths has several numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Wanted:
    """What a tape keeps; the rest can be freed when its layer is done."""

    scores: bool = False
    maps: bool = False
    contexts: bool = False
    operands: int | None = None
    """Number of the layer whose queries, keys and values are kept."""


@dataclass(frozen=True)
class StandIn:
    """Another model's attention, layer by layer: its maps, or its contexts with their share in the blend."""

    maps: Sequence[Tensor] = ()
    """Probabilities (batch, heads, queries, keys)."""
    contexts: Sequence[Tensor] = ()
    """(batch, queries, heads * width)."""
    share: Tensor | None = None
    """Part of the contexts in the blend, a scalar from 0 to 1."""


class AttentionTape:
    """What the attention layers of one forward pass computed, as far as it is wanted.

    Args:
        wanted: what is kept.
        stand_in: takes the place of the model's own maps or contexts; what is kept is the model's own.
    """

    def __init__(self, wanted: Wanted, stand_in: StandIn | None = None) -> None:
        self.wanted, self.stand_in = wanted, stand_in
        self.layers = 0
        """Number of layers that are done."""
        self.scores: list[Tensor] = []
        """Masked scores (batch, heads, queries, keys): those that enter the softmax."""
        self.maps: list[Tensor] = []
        """Probabilities before dropout (batch, heads, queries, keys)."""
        self.contexts: list[Tensor] = []
        """The attention's outputs before the output projection (batch, queries, heads * width)."""
        self.operands: tuple[Tensor, ...] | None = None
        """Queries, keys and values of one layer, (batch, heads, positions, width) each."""

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Within the block, attention writes to this tape."""
        token = _OPEN.set(self)
        try:
            yield
        finally:
            _OPEN.reset(token)

    def mapped(self, operands: tuple[Tensor, Tensor, Tensor], scores: Tensor, probabilities: Tensor) -> Tensor:
        """Keep what is wanted of a layer's first product, and return the probabilities that the layer is to use.

        Args:
            operands: queries, keys and values.
            scores: with the mask added.
            probabilities: the softmax of the scores.
        """
        if self.wanted.operands == self.layers:
            self.operands = operands
        if self.wanted.scores:
            self.scores.append(scores)
        if self.wanted.maps:
            self.maps.append(probabilities)
        if self.stand_in is not None and self.stand_in.maps:
            return self.stand_in.maps[self.layers].to(probabilities.dtype)
        return probabilities

    def finished(self, output: Tensor) -> Tensor:
        """Keep a layer's context if it is wanted, and return what the layer is to give out.

        Args:
            output: the attention's output (batch, queries, heads, width).
        """
        number, self.layers = self.layers, self.layers + 1
        if self.wanted.contexts:
            self.contexts.append(output.flatten(2))
        if self.stand_in is None or self.stand_in.share is None:
            return output
        # Exactly the other's at a share of 1, which ``lerp`` would not be.
        share, other = self.stand_in.share, self.stand_in.contexts[number].view_as(output)
        return (share * other + (1 - share) * output).to(output.dtype)


_OPEN: ContextVar[AttentionTape | None] = ContextVar("xtc_attention_tape", default=None)


def open_tape() -> AttentionTape | None:
    """Return the tape of the forward pass in progress, if there is one."""
    return _OPEN.get()
