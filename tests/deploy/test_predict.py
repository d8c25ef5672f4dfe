from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xtc_study.deploy.predict import predict_texts
from xtc_study.packed.checkpoint import save_packed
from xtc_study.training.pretrained import load_tokenizer


@pytest.fixture
def folder(tiny: Callable[..., Any], tmp_path: Path) -> Callable[..., Path]:
    def make(**about: Any) -> Path:
        model = tiny("bert", layers=1)
        model.config.update(about)
        tokenizer = load_tokenizer("builtin:tiny")
        model.resize_token_embeddings(len(tokenizer))
        save_packed(model, tmp_path, tokenizer)
        return tmp_path

    return make


def test_a_pair_task_needs_two_sentences(folder: Callable[..., Path]) -> None:
    pairs = folder(xtc_task="toy-inference", xtc_texts=2)
    assert len(list(predict_texts(pairs, ["good\tbad", "bad\tgood"]))) == 2
    with pytest.raises(ValueError, match="'good': one text; task toy-inference expects two texts, separated by a TAB"):
        list(predict_texts(pairs, ["good"]))


def test_a_single_sentence_task_needs_one_sentence(folder: Callable[..., Path]) -> None:
    single = folder(xtc_task="toy-sentiment", xtc_texts=1)
    assert len(list(predict_texts(single, ["good"]))) == 1
    with pytest.raises(ValueError, match="two; task toy-sentiment expects one text, without a TAB"):
        list(predict_texts(single, ["good\tbad"]))


def test_folders_without_a_count_accept_one_or_two_sentences(folder: Callable[..., Path]) -> None:
    silent = folder()
    assert len(list(predict_texts(silent, ["good"]))) == len(list(predict_texts(silent, ["good\tbad"]))) == 1


@pytest.mark.parametrize("text", ["good\t", "\tgood"])
def test_an_empty_sentence_is_an_error(folder: Callable[..., Path], text: str) -> None:
    with pytest.raises(ValueError, match="empty"):
        list(predict_texts(folder(), [text]))


def test_a_blank_text_gets_an_error_and_moves_no_other_prediction(folder: Callable[..., Path]) -> None:
    found = list(predict_texts(folder(), ["good", "", "bad", " \t", "good"]))
    assert [answer["text"] for answer in found] == ["good", "", "bad", " \t", "good"]
    assert ["error" in answer for answer in found] == [False, True, False, True, False]
    assert found[0] == found[4], "and moves no answer to another text"
