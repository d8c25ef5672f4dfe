"""Tokenizers of each kind, trained here on a few words and cut."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, BertTokenizer, PreTrainedTokenizerFast, RobertaTokenizer

from xtc_study.compress.reduction.tokenizer import TokenizerError, cut_tokenizer, needed_tokens

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = list("abcdefghij")
WORDS = ["bad", "badge", "cabbage", "face", "facade", "jade", "hid", "hidden", "chief", "big", "bigger", "debit"]


def wordpiece() -> Any:
    vocabulary = [
        *SPECIAL,
        *LETTERS,
        *(f"##{letter}" for letter in LETTERS),
        "bad",
        "##ge",
        "bi",
        "##gg",
        "##ed",
        "badge",
    ]
    return BertTokenizer(vocab={token: number for number, token in enumerate(vocabulary)})


def byte_bpe() -> Any:
    whole = RobertaTokenizer(vocab={"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": 4}, merges=[])
    return whole.train_new_from_iterator(WORDS * 5, 340, show_progress=False)


def unigram() -> Any:
    backend = Tokenizer(models.Unigram())
    backend.normalizer, backend.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=40, special_tokens=SPECIAL, unk_token="[UNK]", show_progress=False)
    backend.train_from_iterator(WORDS * 5, trainer)
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, backend.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names)


KINDS: dict[str, Callable[[], Any]] = {"WordPiece": wordpiece, "BPE": byte_bpe, "Unigram": unigram}


@pytest.fixture(scope="module", params=KINDS)
def whole(request: pytest.FixtureRequest) -> Any:
    return KINDS[request.param]()


def tokens(tokenizer: Any, text: str) -> list[str]:
    tokens_of_text: list[str] = tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"])
    return tokens_of_text


def test_cut_tokenizer_matches_hand_computed_tokens() -> None:
    """'badge' is not used and is removed; its word is then spelled bad, ##ge, and 'bigged' falls back on letters."""
    tokenizer = wordpiece()
    kept = needed_tokens(tokenizer, tokenizer.convert_tokens_to_ids(["bad", "##ge", "##ed"]))
    assert kept == [*range(27), 29]
    smaller = cut_tokenizer(tokenizer, kept)
    gone = set(tokenizer.get_vocab()) - set(smaller.get_vocab())
    assert gone == {"bi", "##gg", "badge"}
    assert tokens(tokenizer, "badge") == ["[CLS]", "badge", "[SEP]"]
    assert tokens(smaller, "badge") == ["[CLS]", "bad", "##ge", "[SEP]"]
    assert tokens(smaller, "bigged") == ["[CLS]", "b", "##i", "##g", "##ge", "##d", "[SEP]"]
    assert smaller("baded")["input_ids"] == [2, 25, 27, 3]


def test_merge_rules_keep_the_tokens_they_need() -> None:
    tokenizer = RobertaTokenizer(
        vocab={
            token: number
            for number, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>", *"abcd", "bc", "abc", "cd"])
        },
        merges=[("b", "c"), ("a", "bc"), ("c", "d")],
    )
    smaller = cut_tokenizer(tokenizer, needed_tokens(tokenizer, tokenizer("abc")["input_ids"]))
    assert set(tokenizer.get_vocab()) - set(smaller.get_vocab()) == {"cd"}, "bc is a part of abc"
    assert tokens(smaller, "abc")[1:-1] == ["abc"] and tokens(smaller, "cd")[1:-1] == ["c", "d"]


def test_cut_tokenizer_gives_the_same_tokens_for_kept_text(whole: Any, tmp_path: Path) -> None:
    texts = ["bad badge face", "hidden jade"]
    kept = needed_tokens(whole, [number for text in texts for number in whole(text)["input_ids"]])
    smaller = cut_tokenizer(whole, kept)
    smaller.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    assert len(kept) < len(whole) and len(loaded) == len(kept)
    for tokenizer in (smaller, loaded):
        for text in texts:
            assert [kept[number] for number in tokenizer(text)["input_ids"]] == whole(text)["input_ids"]
        pair = tokenizer(*texts, padding="max_length", max_length=40)["input_ids"]
        assert [kept[number] for number in pair] == whole(*texts, padding="max_length", max_length=40)["input_ids"]
        assert [kept[number] for number in tokenizer.all_special_ids] == whole.all_special_ids
        assert tokenizer.pad_token == whole.pad_token and tokenizer.unk_token == whole.unk_token


@settings(max_examples=60, deadline=None)
@given(
    used=st.lists(st.text("abcdefghij", min_size=1, max_size=8), min_size=1, max_size=6),
    other=st.text("abcdefghij", min_size=1, max_size=12),
)
@pytest.mark.parametrize("kind", ["WordPiece", "BPE"])
def test_cut_tokenizer_can_still_spell_every_word(kind: str, used: list[str], other: str) -> None:
    whole = TRAINED.setdefault(kind, KINDS[kind]())
    text = " ".join(used)
    kept = needed_tokens(whole, whole(text)["input_ids"])
    smaller = cut_tokenizer(whole, kept)
    assert [kept[number] for number in smaller(text)["input_ids"]] == whole(text)["input_ids"]
    spelled = smaller(f"{other} {text}")["input_ids"]
    assert smaller.unk_token_id not in spelled
    bare = "".join(smaller.convert_ids_to_tokens(spelled, skip_special_tokens=True)).replace("##", "")
    assert bare.replace("Ġ", "") == f"{other} {text}".replace(" ", "")


TRAINED: dict[str, Any] = {}


def test_unsupported_tokenizers_are_refused() -> None:
    with pytest.raises(TokenizerError, match=r"SimpleNamespace has no tokenizer.json; use vocabulary='full'"):
        needed_tokens(SimpleNamespace(is_fast=False), [])
    tokenizer = wordpiece()
    with pytest.raises(TokenizerError, match="BertTokenizer does not accept a smaller vocabulary"):
        cut_tokenizer(tokenizer, [*needed_tokens(tokenizer, []), len(tokenizer) + 5])
