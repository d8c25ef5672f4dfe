"""A classifier without a transformer: it looks tokens up in a table, averages them, and applies one linear head.

The rows of special tokens are zero, so a text's vector is the mean direction of its own tokens, whatever surrounds and
pads them. Every vector is scaled to the length ``sqrt(width)`` before the head reads it: then all features have the
same size, and the head's weights can share a scale in a file.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from xtc_study.compress.static.config import StaticConfig

SMALLEST = 1e-12
"""The least length a vector is divided by; a text of special tokens alone stays zero."""


class StaticForSequenceClassification(PreTrainedModel):
    """Sequence classifier over a table of token vectors.

    The head reads, of one text u, its vector; of two texts u and v to be rated for similarity, their cosine; of any
    other two texts u, v, |u - v|, u * v and their cosine.
    """

    config_class = StaticConfig
    base_model_prefix = "static"

    def __init__(self, config: StaticConfig) -> None:
        super().__init__(config)
        self.word_embeddings: nn.Module = nn.Embedding(config.vocab_size, config.hidden_size)
        self.classifier = nn.Linear(config.features, config.num_labels)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Return the table."""
        return self.word_embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the table."""
        self.word_embeddings = value

    def features(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Return what the head reads, (batch, ``config.features``) float32.

        Args:
            input_ids: (batch, positions).
            attention_mask: (batch, positions), 0 where a row is padded; None: nowhere.
        """
        counted = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        vectors = self.word_embeddings(input_ids) * counted.unsqueeze(-1).to(torch.float32)
        if not self.config.pairs:
            return _unit(vectors.sum(1))

        # The second text is what follows the first separator.
        second = ((input_ids == self.config.sep_token_id).cumsum(1) > 0).unsqueeze(-1).to(torch.float32)
        u, v = _unit((vectors * (1 - second)).sum(1)), _unit((vectors * second).sum(1))
        cosine = (u * v).mean(-1, keepdim=True)
        return cosine if self.config.similarity else torch.cat([u, v, (u - v).abs(), u * v, cosine], -1)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **other: Any
    ) -> SequenceClassifierOutput:
        """Return the logits, (batch, labels). Other inputs of encoders, such as token types, have no effect."""
        return SequenceClassifierOutput(logits=self.classifier(self.features(input_ids, attention_mask)))


def _unit(vectors: Tensor) -> Tensor:
    """Scale vectors (batch, width) to the length sqrt(width); a zero vector stays zero."""
    length = vectors.norm(dim=-1, keepdim=True).clamp(min=SMALLEST)
    scaled: Tensor = vectors / length * math.sqrt(vectors.shape[-1])
    return scaled
