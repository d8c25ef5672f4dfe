from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from xtc_study.compress.distillation.attention_scores import attention_with_scores, hook_attention_scores
from xtc_study.compress.quantization.activations import ActivationFormat
from xtc_study.compress.quantization.attention import FIELD, low_bit_attention, quantize_attention
from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.packed.checkpoint import save_packed
from xtc_study.packed.loading import load
from xtc_study.recipe import Recipe, RecipeError


def test_attention_matches_hand_computed_values() -> None:
    """At 2 bits each row becomes -max, 0 or max."""
    query = torch.tensor([[[[1.0, 0.2], [0.1, -2.0]]]])  # rows to [1, 0] and [0, -2]
    key = torch.tensor([[[[4.0, 3.0], [0.0, 1.0]]]])  # rows to [4, 4] and [0, 1]
    value = torch.tensor([[[[1.0, 0.9], [0.0, 0.0]]]])  # rows to [1, 1] and [0, 0]
    output, scores = low_bit_attention(nn.Module(), query, key, value, None, ActivationFormat(2), scaling=1.0)
    assert scores.tolist() == [[[[4.0, 0.0], [-8.0, -2.0]]]]
    # softmax rows: 0.982, 0.018 -> p, 0; 0.0025, 0.9975 -> 0, p. Position 1 attends to the zero value only.
    first = torch.tensor([4.0, 0.0]).softmax(-1)[0]
    assert torch.allclose(output[0, :, 0], torch.stack([first.expand(2), torch.zeros(2)]))


def test_the_gradient_passes_straight_through() -> None:
    """With integers that 8 bits represent, quantised and plain attention have the same inputs, so equal gradients of
    the scores."""
    query = torch.tensor([[[[127.0, -3.0]]]], requires_grad=True)
    key = torch.tensor([[[[127.0, 50.0]]]], requires_grad=True)
    value = torch.ones(1, 1, 1, 2)
    _, scores = low_bit_attention(nn.Module(), query, key, value, None, ActivationFormat(8), scaling=1.0)
    scores.sum().backward()
    assert query.grad is not None and key.grad is not None
    assert query.grad.tolist() == [[[[127.0, 50.0]]]] and key.grad.tolist() == [[[[127.0, -3.0]]]]


def test_eight_bits_are_close_to_full_precision_and_two_are_not() -> None:
    torch.manual_seed(0)
    operands = [torch.randn(2, 4, 9, 16) for _ in range(3)]
    plain, _ = attention_with_scores(nn.Module(), *operands, None)
    errors = {
        bits: float((low_bit_attention(nn.Module(), *operands, None, ActivationFormat(bits))[0] - plain).abs().mean())
        for bits in (2, 4, 8)
    }
    assert 0 < errors[8] < 0.01 < errors[4] < errors[2]


def test_student_scores_are_returned_and_ignore_padding(
    tiny: Callable[..., Any], batch: Callable[..., Any], family: str
) -> None:
    student, teacher, inputs = tiny(family), tiny(family, seed=1), batch(family)
    quantize_attention(student, 8)
    with hook_attention_scores(student, teacher), torch.no_grad():
        ours = student(**inputs, output_attentions=True)
        assert teacher(**inputs, output_attentions=True).attentions[0].min() < 0, "scores, not probabilities"
    assert len(ours.attentions) == 4 and ours.attentions[0].min() < 0
    assert student.config._attn_implementation == "xtc_quantised_8", "the hook does not change it"
    with torch.no_grad():
        alone = {name: tensor[2:, :4] for name, tensor in inputs.items()}
        padded = student(**inputs).logits[2:]
        # The products round differently in other shapes, which may flip one of 127 levels here and there.
        assert torch.allclose(padded, student(**alone).logits, atol=2e-3)


def test_packed_file_computes_the_students_attention(
    tiny: Callable[..., Any], batch: Callable[..., Any], family: str, tmp_path: Path
) -> None:
    recipe = Recipe.of(task="rte", weight_bits=1, quantise_attention=True, activation_bits=4)
    student, plain, inputs = tiny(family), tiny(family), batch(family)
    make_low_bit(student, recipe)
    make_low_bit(plain, Recipe.of(task="rte", weight_bits=1, activation_bits=4))
    assert getattr(student.config, FIELD) == 4
    save_packed(student, tmp_path / "packed")
    loaded = load(tmp_path / "packed")
    with torch.inference_mode():
        expected = student(**inputs).logits
        assert torch.equal(loaded(**inputs).logits, expected)
        assert not torch.equal(plain(**inputs).logits, expected), "quantised attention changes the logits"


def test_quantized_attention_without_activation_bits_is_refused() -> None:
    with pytest.raises(RecipeError, match="quantise_attention needs activation_bits of 2 to 8"):
        Recipe.of(task="rte", quantise_attention=True, activation_bits=32)
