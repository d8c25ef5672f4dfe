"""Make static token vectors from an encoder: each token alone through the encoder, PCA, and a weight by its rank.

The method is model2vec's (Tulkens and van Dongen 2024, github.com/MinishLab/model2vec), written here from its
description: the mean of the encoder's outputs for ``[CLS] token [SEP]``, principal components, and the weight
``a / (a + p)`` of smooth inverse frequency (Arora et al. 2017), where Zipf's law over the order of the vocabulary
stands for the frequency p of a token. No text is read and nothing is trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

SIF = 1e-4
"""The constant a of smooth inverse frequency; model2vec's default."""
FIRST_RANK = 2
"""The rank of the first token in Zipf's law; model2vec's."""
BATCH = 512
"""Tokens that pass through the encoder together."""

Floats = npt.NDArray[np.float64]


@torch.inference_mode()
def token_outputs(encoder: Any, before: Sequence[int], after: Sequence[int], size: int) -> Tensor:
    """Return the encoder's mean output for every token alone, (size, hidden) float32 on the CPU.

    Args:
        encoder: a transformers encoder without a head, in evaluation mode.
        before: ids that the tokenizer puts before a text.
        after: ids that it puts after a text.
        size: number of tokens.
    """
    device = next(encoder.parameters()).device
    parts = []
    for tokens in torch.arange(size, device=device).split(BATCH):
        columns = [torch.full_like(tokens, one) for one in before]
        columns += [tokens, *(torch.full_like(tokens, one) for one in after)]
        ids = torch.stack(columns, 1)
        states = encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        parts.append(states.float().mean(1).cpu())
    return torch.cat(parts)


def around_a_text(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Return the ids of the special tokens that a tokenizer puts before and after a text."""
    encoded = tokenizer("a", return_special_tokens_mask=True)
    special = encoded["special_tokens_mask"]
    own = [place for place, flag in enumerate(special) if not flag]
    ids = list(encoded["input_ids"])
    return ids[: own[0]], ids[own[-1] + 1 :]


def rank_weights(size: int) -> Floats:
    """Return the weight of each token by its place in the vocabulary, (size,): ``a / (a + p)``, p by Zipf's law.

    Vocabularies list frequent tokens first, so that the place stands for the frequency: p is proportional to
    1 / (place + 2).
    """
    frequency = 1.0 / np.arange(FIRST_RANK, size + FIRST_RANK)
    frequency /= frequency.sum()
    weights: Floats = SIF / (SIF + frequency)
    return weights


def static_vectors(outputs: Tensor, width: int, special: Sequence[int]) -> Tensor:
    """Return the table, (tokens, width) float32: principal components of the outputs times the weights by rank.

    The sign of a component is such that its coefficient of largest magnitude is positive, so the table depends on
    nothing but its inputs. The rows of special tokens are zero and take no part in the components.

    Args:
        outputs: (tokens, hidden), of ``token_outputs``.
        width: number of components.
        special: ids of special tokens.

    Raises:
        ValueError: fewer outputs or tokens than components.
    """
    from sklearn.decomposition import PCA

    tokens, hidden = outputs.shape
    kept = np.setdiff1d(np.arange(tokens), np.asarray(special, dtype=np.int64))
    if width > min(len(kept), hidden):
        raise ValueError(
            f"static={width}: expected at most {min(len(kept), hidden)}, what the encoder's output allows"
        )
    values = outputs.double().numpy()
    table = np.zeros((tokens, width))
    table[kept] = PCA(width, svd_solver="covariance_eigh").fit_transform(values[kept])
    return torch.from_numpy(table * rank_weights(tokens)[:, None]).float()
