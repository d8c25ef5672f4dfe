from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import transformers

from xtc_study.compress.encoder_parts import EncoderError, encoder_parts, positions

BERT_LAYER = ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
              "intermediate.dense", "output.dense"]  # fmt: skip
DISTILBERT_LAYER = [
    "attention.q_lin",
    "attention.k_lin",
    "attention.v_lin",
    "attention.out_lin",
    "ffn.lin1",
    "ffn.lin2",
]
EXPECTED = {
    "bert": ("bert.encoder.layer", BERT_LAYER, "bert.pooler.dense", "classifier", "bert.embeddings.word_embeddings"),
    "roberta": ("roberta.encoder.layer", BERT_LAYER, "classifier.dense", "classifier.out_proj",
                "roberta.embeddings.word_embeddings"),
    "distilbert": ("distilbert.transformer.layer", DISTILBERT_LAYER, "pre_classifier", "classifier",
                   "distilbert.embeddings.word_embeddings"),
}  # fmt: skip


@pytest.mark.parametrize("depth", [1, 4])
def test_parts_are_found_in_three_families(tiny: Callable[..., Any], family: str, depth: int) -> None:
    parts = encoder_parts(tiny(family, layers=depth))
    stack, linears, head, classifier, words = EXPECTED[family]
    assert parts.layers == stack
    assert set(parts.layer_linears) == {f"{stack}.{layer}.{name}" for layer in range(depth) for name in linears}
    assert len(parts.layer_linears) == 6 * depth
    assert parts.head_linears == (head,)
    assert parts.classifier == classifier
    assert parts.word_embeddings == words


def test_depth_without_a_matching_stack_is_refused(tiny: Callable[..., Any]) -> None:
    model = tiny("bert")
    model.config.num_hidden_layers = 5
    with pytest.raises(EncoderError, match="one stack of 5 layers, found 0"):
        encoder_parts(model)


def test_encoder_without_classifier_is_refused(tiny: Callable[..., Any]) -> None:
    with pytest.raises(EncoderError, match="a last linear with 3 outputs"):
        encoder_parts(tiny("bert").bert)


def test_positions_count_the_usable_position_embeddings(tiny: Callable[..., Any], family: str) -> None:
    assert positions(tiny(family)) == {"bert": 40, "roberta": 38, "distilbert": 40}[family], "RoBERTa's padding is 1"


def test_embedding_projection_counts_as_head_linear() -> None:
    config = transformers.ElectraConfig(
        vocab_size=101, embedding_size=16, hidden_size=32, num_hidden_layers=2, num_attention_heads=4
    )
    parts = encoder_parts(transformers.ElectraForSequenceClassification(config))
    assert parts.head_linears == ("electra.embeddings_project", "classifier.dense")
