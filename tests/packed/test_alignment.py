from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification

from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.packed.alignment import CACHE_LINE, align
from xtc_study.packed.checkpoint import save_packed
from xtc_study.packed.loading import load
from xtc_study.recipe import Recipe


def shifted(weight: torch.Tensor, places: int) -> torch.Tensor:
    """Copy the numbers to memory that begins ``places`` floats after a multiple of the cache line."""
    workdir = torch.zeros(weight.numel() + CACHE_LINE)
    view = workdir[places : places + weight.numel()].view(weight.shape)
    return view.copy_(weight)


def test_shifted_weight_is_aligned_and_keeps_its_values() -> None:
    torch.manual_seed(0)
    linear, x = nn.Linear(64, 1), torch.randn(2, 64)
    with torch.no_grad():
        expected, weight = linear(x), linear.weight.clone()
        for places in range(1, 16):
            linear.weight.data = shifted(weight, places)
            assert linear.weight.data_ptr() % CACHE_LINE == 4 * places
            align(linear)
            assert linear.weight.data_ptr() % CACHE_LINE == 0 and torch.equal(linear.weight, weight)
            assert torch.equal(linear(x), expected)


@pytest.mark.parametrize("bits", [1, 2, 8, 32])
def test_regression_reloads_exactly_at_any_position_in_the_file(bits: int, tmp_path: Path) -> None:
    """A tensor's position depends on the tensors before it, so different shapes of the model move it."""
    ids = torch.arange(12).reshape(2, 6)
    for places in range(4):
        torch.manual_seed(places)
        config = BertConfig(
            hidden_size=64, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64, vocab_size=30 + places,
            max_position_embeddings=20 + 3 * places, num_labels=1,
        )  # fmt: skip
        model = BertForSequenceClassification(config).eval()
        make_low_bit(model, Recipe.of(task="stsb", weight_bits=bits, activation_bits=32 if bits == 32 else 8))
        save_packed(model, tmp_path / str(places))
        loaded = load(tmp_path / str(places), "torch")
        assert loaded.classifier.weight.data_ptr() % CACHE_LINE == 0
        with torch.no_grad():
            assert torch.equal(loaded(ids).logits, model(ids).logits)
