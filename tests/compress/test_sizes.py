from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.compress.sizes import matrix_parameters, paper_size_bytes
from xtc_study.recipe import Recipe


def bert_base(layers: int) -> BertForSequenceClassification:
    with torch.device("meta"):
        return BertForSequenceClassification(BertConfig(num_hidden_layers=layers, num_labels=3))


PAPER = {
    12: (109_360_128, {32: 417.18, 2: 26.07, 1: 13.04}),
    6: (66_892_800, {32: 255.18, 2: 15.95, 1: 7.97}),
    5: (59_814_912, {32: 228.18, 2: 14.26, 1: 7.13}),
    4: (52_737_024, {32: 201.18, 2: 12.57, 1: 6.29}),
    3: (45_659_136, {32: 174.18, 2: 10.89, 1: 5.44}),
}


@pytest.mark.parametrize("layers", PAPER)
def test_bert_base_has_the_papers_sizes(layers: int) -> None:
    model = bert_base(layers)
    parameters, mebibytes = PAPER[layers]
    assert matrix_parameters(model) == parameters
    assert {bits: round(paper_size_bytes(model, bits) / 2**20, 2) for bits in mebibytes} == mebibytes


def test_size_counts_tables_linears_and_head_but_not_the_classifier(tiny: Callable[..., Any], family: str) -> None:
    # words and positions; RoBERTa and BERT also have 2 token types; 6 linears a layer; the head's dense layer
    layer = 4 * 32 * 32 + 2 * 32 * 64
    types = 0 if family == "distilbert" else 2 * 32
    assert matrix_parameters(tiny(family)) == (101 + 40) * 32 + types + 4 * layer + 32 * 32


def test_low_bit_model_has_the_same_size(tiny: Callable[..., Any], family: str) -> None:
    model = tiny(family)
    before = matrix_parameters(model)
    make_low_bit(model, Recipe.of(task="toy-sentiment", weight_bits=1))
    assert matrix_parameters(model) == before


def test_tables_are_counted_at_their_own_bits(tiny: Callable[..., Any], family: str) -> None:
    model = tiny(family)
    tables = (101 + 40 + (0 if family == "distilbert" else 2)) * 32
    rest = matrix_parameters(model) - tables
    make_low_bit(model, Recipe.of(task="toy-sentiment", weight_bits=1, embedding_bits=8))
    assert paper_size_bytes(model, 1, 8) == (rest + 8 * tables) // 8
    assert paper_size_bytes(model, 1, 1) == paper_size_bytes(model, 1)
