from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from xtc_study.compress.static.vectors import around_a_text, rank_weights, static_vectors, token_outputs
from xtc_study.tasks.generated.vocabulary import toy_tokenizer


def test_weights_follow_zipf_and_smooth_inverse_frequency() -> None:
    """Of three tokens, frequencies are 1/2, 1/3 and 1/4 over 13/12: 6/13, 4/13 and 3/13."""
    expected = [1e-4 / (1e-4 + share / 13) for share in (6, 4, 3)]
    assert rank_weights(3) == pytest.approx(expected, rel=1e-12)
    many = rank_weights(30_522)
    assert (np.diff(many) > 0).all() and 0 < many[0] < 0.01 < 0.7 < many[-1] < 1


def test_components_are_those_of_the_tokens_without_the_special_ones() -> None:
    """Points on the line through (3, 4) have one component: their signed distance from their mean."""
    direction = torch.tensor([0.6, 0.8])
    outputs = torch.stack([torch.tensor([90.0, -7.0]), *(length * direction for length in (1.0, 2.0, 6.0))])
    table = static_vectors(outputs, 1, special=[0])
    weights = torch.from_numpy(rank_weights(4)).float()[:, None]
    torch.testing.assert_close(table, weights * torch.tensor([[0.0], [-2.0], [-1.0], [3.0]]))
    flipped = static_vectors(-outputs, 1, special=[0])
    torch.testing.assert_close(flipped, -table)


def test_the_first_components_do_not_depend_on_how_many_are_kept() -> None:
    outputs = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(static_vectors(outputs, 5, [1])[:, :2], static_vectors(outputs, 2, [1]))


def test_a_table_wider_than_the_encoder_is_refused() -> None:
    with pytest.raises(ValueError, match="static=3: expected at most 2"):
        static_vectors(torch.zeros(9, 2), 3, [])


class Echo(nn.Module):
    """Gives each position its id as a vector of one number."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SimpleNamespace:
        assert attention_mask.all()
        return SimpleNamespace(last_hidden_state=input_ids.unsqueeze(-1).float())


def test_each_token_passes_alone_between_the_special_tokens() -> None:
    outputs = token_outputs(Echo(), before=[101], after=[102, 7], size=600)
    assert outputs.shape == (600, 1)
    assert outputs[[0, 4, 599], 0].tolist() == [(101 + 102 + 7 + token) / 4 for token in (0, 4, 599)]
    assert token_outputs(Echo(), [], [], 3)[:, 0].tolist() == [0.0, 1.0, 2.0]


def test_what_a_tokenizer_puts_around_a_text() -> None:
    tokenizer = toy_tokenizer()
    assert around_a_text(tokenizer) == ([tokenizer.cls_token_id], [tokenizer.sep_token_id])
    assert math.isfinite(tokenizer.cls_token_id)
