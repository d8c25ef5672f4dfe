from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers

from xtc_study.compress.distillation.attention_scores import hook_attention_scores
from xtc_study.compress.encoder_parts import EncoderError
from xtc_study.compress.quantization.attention import FIELD, quantize_attention, restore_attention

PROJECTIONS = {
    "bert": ("bert.encoder.layer.{}.attention.self.query", "bert.encoder.layer.{}.attention.self.key"),
    "roberta": ("roberta.encoder.layer.{}.attention.self.query", "roberta.encoder.layer.{}.attention.self.key"),
    "distilbert": (
        "distilbert.transformer.layer.{}.attention.q_lin",
        "distilbert.transformer.layer.{}.attention.k_lin",
    ),
}


def heads(x: torch.Tensor) -> torch.Tensor:
    return x.reshape(*x.shape[:2], 4, 8).transpose(1, 2)


@torch.no_grad()
def test_logits_equal_those_of_eager_attention(
    tiny: Callable[..., Any], batch: Callable[..., Any], family: str
) -> None:
    model = tiny(family)
    model.set_attn_implementation("eager")
    eager = model(**batch(family)).logits
    with hook_attention_scores(model):
        assert torch.equal(model(**batch(family), output_attentions=True).logits, eager)
        assert torch.equal(model(**batch(family)).logits, eager)


@torch.no_grad()
def test_attentions_are_the_scores_before_softmax(
    tiny: Callable[..., Any], batch: Callable[..., Any], family: str
) -> None:
    model = tiny(family)
    with hook_attention_scores(model):
        out = model(**batch(family), output_attentions=True, output_hidden_states=True)
    assert len(out.attentions) == 4
    for layer, scores in enumerate(out.attentions):
        query, key = (model.get_submodule(name.format(layer)) for name in PROJECTIONS[family])
        states = out.hidden_states[layer]
        expected = heads(query(states)) @ heads(key(states)).transpose(-1, -2) / 8**0.5
        torch.testing.assert_close(scores, expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_scores_of_padding_are_not_masked(tiny: Callable[..., Any], batch: Callable[..., Any]) -> None:
    with hook_attention_scores(model := tiny("bert")):
        scores = model(**batch("bert"), output_attentions=True).attentions[0]
    assert scores.isfinite().all()
    assert scores.abs().max() < 1e4


def test_gradients_reach_the_query(tiny: Callable[..., Any], batch: Callable[..., Any]) -> None:
    model = tiny("bert")
    with hook_attention_scores(model):
        model(**batch("bert"), output_attentions=True).attentions[-1].square().sum().backward()
    assert model.bert.encoder.layer[3].attention.self.query.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("before", ["sdpa", "eager"])
def test_each_models_implementation_is_restored(tiny: Callable[..., Any], before: str) -> None:
    student, teacher = tiny("bert", layers=2), tiny("roberta")
    student.set_attn_implementation(before)
    teacher.set_attn_implementation("eager")
    with hook_attention_scores(student, teacher):
        assert student.config._attn_implementation == teacher.config._attn_implementation == "xtc_scores"
    assert student.config._attn_implementation == before
    assert teacher.config._attn_implementation == "eager"


def test_implementation_is_restored_after_an_error(tiny: Callable[..., Any]) -> None:
    model = tiny("bert")
    before = model.config._attn_implementation
    with pytest.raises(KeyError), hook_attention_scores(model):
        raise KeyError("in the block")
    assert model.config._attn_implementation == before != "xtc_scores"


def test_family_with_its_own_attention_code_is_refused(tiny: Callable[..., Any]) -> None:
    config = transformers.MPNetConfig(
        vocab_size=101, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64
    )
    model, other = transformers.MPNetForSequenceClassification(config), tiny("bert")
    before = other.config._attn_implementation
    with (
        pytest.raises(EncoderError, match="mpnet has its own attention code"),
        hook_attention_scores(other, model),
    ):
        pass
    assert other.config._attn_implementation == before
    with pytest.raises(EncoderError, match="neither distilled nor quantised"):
        quantize_attention(model, 8)
    assert not hasattr(model.config, FIELD)
    setattr(model.config, FIELD, 8)
    restore_attention(model)  # an old file of such a model is still read
