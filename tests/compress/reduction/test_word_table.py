from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch

from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.compress.reduction.word_table import VocabularyError, cut_vocabulary
from xtc_study.recipe import Recipe

KEPT = [0, 1, *range(5, 101, 2)]


@pytest.mark.parametrize("bits", [32, 8, 2, 1])
def test_text_of_kept_tokens_gives_the_same_logits(
    tiny: Callable[..., Any], batch: Callable[..., Any], family: str, bits: int
) -> None:
    model = tiny(family)
    if bits < 32:
        make_low_bit(model, Recipe.of(task="cola", weight_bits=bits, quantise_tables=True))
    inputs = batch(family)
    real = inputs["attention_mask"].bool()
    inputs["input_ids"] = torch.where(real, inputs["input_ids"] | 1, inputs["input_ids"])  # odd ids are kept
    new = {old: place for place, old in enumerate(KEPT)}
    moved = {**inputs, "input_ids": inputs["input_ids"].apply_(lambda old: old).clone().apply_(new.__getitem__)}
    smaller = cut_vocabulary(model, KEPT)
    with torch.inference_mode():
        assert torch.equal(smaller(**moved).logits, model(**inputs).logits)
    assert type(smaller.get_input_embeddings()) is type(model.get_input_embeddings())
    assert smaller.config.vocab_size == smaller.get_input_embeddings().num_embeddings == len(KEPT)
    assert model.config.vocab_size == model.get_input_embeddings().weight.shape[0] == 101, "a copy is cut"


def test_special_ids_move_with_their_tokens(tiny: Callable[..., Any]) -> None:
    model = tiny("bert")
    model.config.bos_token_id, model.config.eos_token_id = 7, 6
    smaller = cut_vocabulary(model, [0, 5, 7, 9])
    assert (smaller.config.pad_token_id, smaller.config.bos_token_id, smaller.config.eos_token_id) == (0, 2, None)


@pytest.mark.parametrize(
    ("kind", "kept", "message"),
    [
        ("bert", [0, 3, 2], "expected ascending ids from 0 to 100"),
        ("bert", [0, 2, 2], "expected ascending ids"),
        ("bert", [0, 101], "expected ascending ids"),
        ("bert", [-1, 0], "expected ascending ids"),
        ("bert", [], "expected ascending ids"),
        ("bert", [1, 2], "token 0 pads this model's inputs; it must be kept"),
        ("roberta", [1, 2], "counts positions from its padding token (roberta.embeddings.position_embeddings)"),
    ],
)
def test_invalid_tokens_are_refused(tiny: Callable[..., Any], kind: str, kept: list[int], message: str) -> None:
    with pytest.raises(VocabularyError, match=re.escape(message)):
        cut_vocabulary(tiny(kind), kept)
