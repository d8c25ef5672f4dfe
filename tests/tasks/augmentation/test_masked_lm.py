"""Candidates of a masked LM, a tiny BERT with random weights, and whole words of other vocabularies."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, BertTokenizer

from xtc_study.tasks.augmentation import masked_lm as module
from xtc_study.tasks.augmentation.masked_lm import MaskedWords, whole_words
from xtc_study.tasks.augmentation.synonyms import SynonymTable
from xtc_study.tasks.augmentation.words import Slot

TOKENS = [*("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"), *"abcd.", "the", "##s", "##ing"]
WORDS = ["dog", "cat", "cow", "runs", "sits", "sleeps", "1990"]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return BertTokenizer(vocab={token: number for number, token in enumerate([*TOKENS, *WORDS])}, do_lower_case=True)


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = BertConfig(
        vocab_size=len(TOKENS + WORDS), max_position_embeddings=40, initializer_range=0.5, pad_token_id=0, **shape
    )
    return BertForMaskedLM(config).eval()


def test_whole_words_exclude_word_parts_and_special_tokens(tokenizer: Any) -> None:
    assert list(whole_words(tokenizer).values()) == ["the", "dog", "cat", "cow", "runs", "sits", "sleeps"]


def test_whole_words_of_a_vocabulary_that_marks_spaces() -> None:
    class Tokenizer:
        all_special_ids = (0,)

        def get_vocab(self) -> dict[str, int]:
            return {"<mask>": 0, "\u0120dog": 1, "s": 2, "\u0120The": 3, "\u01201990": 4, "ing": 5}

    assert whole_words(Tokenizer()) == {1: "dog", 3: "the"}


def test_each_word_is_masked_in_the_pair_and_gets_the_likeliest_whole_words(model: Any, tokenizer: Any) -> None:
    sentence = "The dog runs."
    (slots,) = MaskedWords(model, tokenizer, 3, "cpu", 40).slots([sentence])
    assert [sentence[slot.start : slot.end] for slot in slots] == ["dog", "runs"]
    for slot, masked in zip(slots, ("The [MASK] runs.", "The dog [MASK]."), strict=True):
        inputs = tokenizer(masked, sentence, return_tensors="pt")
        place = inputs["input_ids"][0].tolist().index(tokenizer.mask_token_id)
        with torch.no_grad():
            logits = model(**inputs).logits[0, place]
        ranked = [tokenizer.convert_ids_to_tokens(int(number)) for number in logits.argsort(descending=True)]
        assert slot.words == tuple(word for word in ranked if word in ("the", *WORDS[:-1]))[:3]


@pytest.mark.parametrize("side", ["right", "left"])
def test_batching_does_not_change_candidates(
    side: str, model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizer, "padding_side", side)
    sentences = ["The dog runs.", "dog", "The cat sits. The cow sleeps.", "", "the"]
    source = MaskedWords(model, tokenizer, 3, "cpu", 40)
    together = source.slots(sentences)
    monkeypatch.setattr(module, "BATCH_TOKENS", 1)
    alone = [slots for sentence in sentences for slots in source.slots([sentence])]
    assert together == alone
    assert [len(slots) for slots in together] == [2, 1, 4, 0, 0]


def test_candidates_keep_capitals(model: Any, tokenizer: Any) -> None:
    (slots,) = MaskedWords(model, tokenizer, 2, "cpu", 40).slots(["Dog CAT"])
    assert all(word[0].isupper() and word[1:].islower() for word in slots[0].words)
    assert all(word.isupper() for word in slots[1].words)


def test_words_of_several_tokens_get_synonyms_or_stay(model: Any, tokenizer: Any) -> None:
    table = SynonymTable({("dog", "n"): ["cur"]}, 15)
    sentence = "the dogs runs"
    assert [slot.start for slot in MaskedWords(model, tokenizer, 3, "cpu", 40).slots([sentence])[0]] == [9]
    slots = MaskedWords(model, tokenizer, 3, "cpu", 40, table).slots([sentence])[0]
    assert slots[0] == Slot(4, 8, ("curs",)) and slots[1].start == 9


def test_a_mask_beyond_the_longest_input_has_no_candidates(model: Any, tokenizer: Any) -> None:
    sentence = "dog the " * 30
    (slots,) = MaskedWords(model, tokenizer, 3, "cpu", 40).slots([sentence])
    # Position 0 is [CLS], so that places 1, 3, ..., 39 hold a dog.
    assert [slot.start for slot in slots] == [8 * place for place in range(20)]
