"""The built-in vocabulary covers every word of the generated tasks, and its tokenizer keeps them whole."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from xtc_study.tasks.generated.toy import TOY_TASKS, load_toy
from xtc_study.tasks.generated.vocabulary import SPECIAL_TOKENS, VOCABULARY, toy_tokenizer


def _sentences(name: str) -> list[str]:
    data = load_toy(name)
    return [text for split in data.values() for field in TOY_TASKS[name].text_fields for text in split[field]]


def test_special_tokens_come_first_and_ids_are_dense() -> None:
    assert list(VOCABULARY)[:5] == list(SPECIAL_TOKENS) == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert list(VOCABULARY.values()) == list(range(len(VOCABULARY)))
    assert all(word == word.lower() for word in list(VOCABULARY)[5:])


@pytest.mark.parametrize("name", TOY_TASKS)
def test_every_generated_word_is_in_the_vocabulary(name: str) -> None:
    found = {word for text in _sentences(name) for word in re.findall(r"\w+|[^\w\s]", text.lower())}
    assert found <= set(VOCABULARY)


def test_every_word_of_the_vocabulary_is_used() -> None:
    found = {word for name in TOY_TASKS for text in _sentences(name) for word in re.findall(r"\w+|\S", text.lower())}
    assert set(VOCABULARY) - set(SPECIAL_TOKENS) == found


@pytest.mark.parametrize("name", TOY_TASKS)
def test_tokens_round_trip_without_unknowns(name: str) -> None:
    tokenizer = toy_tokenizer()
    sentences = _sentences(name)[:300]
    for text, ids in zip(sentences, tokenizer(sentences)["input_ids"], strict=True):
        assert tokenizer.unk_token_id not in ids
        assert (ids[0], ids[-1]) == (tokenizer.cls_token_id, tokenizer.sep_token_id)
        decoded = tokenizer.decode(ids, skip_special_tokens=True)
        assert re.sub(r" (?=[.,])", "", decoded) == text.lower()


def test_tokenizer_special_ids_and_pairs() -> None:
    tokenizer = toy_tokenizer()
    assert tokenizer.pad_token_id == 0
    assert len(tokenizer) == len(VOCABULARY)
    pair = tokenizer("Anna is tall.", "Anna is not short.")
    assert pair["token_type_ids"] == [0] * 6 + [1] * 6
    assert tokenizer("zebra")["input_ids"][1] == tokenizer.unk_token_id == 1


def test_importing_the_tasks_does_not_import_transformers_or_datasets() -> None:
    code = (
        "import sys, xtc_study.tasks.generated.toy, xtc_study.tasks.generated.vocabulary; print(sorted(sys.modules))"
    )
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not any(f"'{name}'" in modules for name in ("torch", "transformers", "datasets"))
