from __future__ import annotations

import math

import pytest
import torch

from xtc_study.compress.sizes import paper_size_bytes
from xtc_study.compress.static.config import StaticConfig
from xtc_study.compress.static.model import StaticForSequenceClassification

ROWS = torch.tensor([[0.0, 0.0], [0.0, 0.0], [3.0, 4.0], [4.0, 3.0], [-8.0, 6.0]])
"""Tokens 0 (padding) and 1 (the separator) are special and zero."""
ROOT = math.sqrt(2)


def static(**fields: object) -> StaticForSequenceClassification:
    config = StaticConfig(5, 2, sep_token_id=1, pad_token_id=0, **fields)  # type: ignore[arg-type]
    model = StaticForSequenceClassification(config).eval()
    with torch.no_grad():
        model.word_embeddings.weight.copy_(ROWS)  # type: ignore[union-attr, operator]
    return model


def ids(*rows: list[int]) -> torch.Tensor:
    return torch.tensor(rows)


def test_a_text_is_the_direction_of_the_sum_of_its_own_tokens() -> None:
    """(3, 4) + (4, 3) has the direction (1, 1); scaled to sqrt(2) it is (1, 1) itself."""
    features = static().features(ids([1, 2, 3, 1, 0], [1, 2, 1, 0, 0]))
    torch.testing.assert_close(features, torch.tensor([[1.0, 1.0], [0.6 * ROOT, 0.8 * ROOT]]))


def test_padding_and_other_special_tokens_count_nothing() -> None:
    model = static()
    padded = model.features(ids([2, 4, 4]), torch.tensor([[1, 0, 0]]))
    assert torch.equal(padded, model.features(ids([2]))) and torch.equal(padded, model.features(ids([1, 2, 1])))
    assert model.features(ids([1, 1])).tolist() == [[0.0, 0.0]], "no token of its own"


def test_similar_texts_are_compared_by_their_cosine() -> None:
    model = static(pairs=True, similarity=True, num_labels=1)
    features = model.features(ids([1, 2, 1, 3, 1], [1, 2, 1, 4, 1], [1, 2, 1, 2, 1], [1, 2, 1, 1, 1])[:, 1:])
    torch.testing.assert_close(features, torch.tensor([[0.96], [0.0], [1.0], [0.0]]))
    with torch.no_grad():
        model.classifier.weight.fill_(5)
        model.classifier.bias.fill_(-1)
    assert model(ids([2, 1, 3])).logits.item() == pytest.approx(3.8)


def test_other_pairs_give_both_texts_their_difference_product_and_cosine() -> None:
    model = static(pairs=True, num_labels=3)
    (found,) = model.features(ids([2, 1, 4]))
    u, v = [0.6 * ROOT, 0.8 * ROOT], [-0.8 * ROOT, 0.6 * ROOT]
    expected = [*u, *v, 1.4 * ROOT, 0.2 * ROOT, -0.96, 0.96, 0.0]
    torch.testing.assert_close(found, torch.tensor(expected))
    assert model.classifier.weight.shape == (3, 9)


def test_the_papers_size_is_the_table_at_its_bits() -> None:
    assert paper_size_bytes(static(), 1, 1) == 1 and paper_size_bytes(static(), 8, 8) == 10
