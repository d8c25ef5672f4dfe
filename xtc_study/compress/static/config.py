"""The configuration of a static table, known to transformers as model type ``xtc-static``."""

from __future__ import annotations

from typing import Any

from transformers import PretrainedConfig

MODEL_TYPE = "xtc-static"


class StaticConfig(PretrainedConfig):
    """Shape of a table of token vectors and of the head above it.

    Args:
        vocab_size: rows of the table.
        hidden_size: numbers in a row.
        pairs: whether an input is two texts, separated by ``sep_token_id``.
        similarity: whether the only feature is the cosine of both texts.
        max_position_embeddings: the tokens that the encoder reads; the table itself has no limit.
        sep_token_id: the token between two texts.
        pad_token_id: the token that fills rows of a batch.
        fields: of every configuration of transformers (``num_labels``).
    """

    model_type = MODEL_TYPE

    def __init__(
        self,
        vocab_size: int = 30_522,
        hidden_size: int = 128,
        pairs: bool = False,
        similarity: bool = False,
        max_position_embeddings: int = 512,
        sep_token_id: int | None = None,
        pad_token_id: int | None = None,
        **fields: Any,
    ) -> None:
        self.vocab_size, self.hidden_size = vocab_size, hidden_size
        self.pairs, self.similarity = pairs, similarity
        self.max_position_embeddings = max_position_embeddings
        super().__init__(sep_token_id=sep_token_id, pad_token_id=pad_token_id, **fields)
        self.sep_token_id, self.pad_token_id = sep_token_id, pad_token_id

    @property
    def features(self) -> int:
        """Numbers that the head reads of one input."""
        if self.similarity:
            return 1
        return 4 * self.hidden_size + 1 if self.pairs else self.hidden_size
