"""How a tokenizer reads a text is checked before anything is trained."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import transformers
from transformers import BertTokenizer, RobertaTokenizer

from xtc_study.model_source import BUILTIN, ModelError
from xtc_study.places import Places
from xtc_study.recipe import Recipe
from xtc_study.tasks.catalogue import chosen_tasks
from xtc_study.tasks.generated.vocabulary import toy_tokenizer
from xtc_study.tasks.lengths import lengths_of
from xtc_study.training.pipeline import Pipeline
from xtc_study.training.text_check import Reader, reader_at_hand, reader_of, sampled, unsuited

CHINESE = ["这个产品的质量非常好我很喜欢下次还会再来购买物流也很快", "包装破损客服态度差等了两个星期才收到非常失望"]
ENGLISH = ["the product is very good and i like it a lot", "the parcel was damaged and nobody answered me"]
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


def english_bytes() -> Any:
    """A tokenizer like RoBERTa's: every byte, and parts of English words."""
    whole = RobertaTokenizer(vocab={"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": 4}, merges=[])
    return whole.train_new_from_iterator(ENGLISH * 5, 340, show_progress=False)


def chinese_characters() -> Any:
    """A tokenizer like BERT's for Chinese: one token per character."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted({char for text in CHINESE for char in text})]
    return BertTokenizer(vocab={piece: number for number, piece in enumerate(pieces)})


def own(folder: Path, texts: list[str], columns: str = "t", rows: int = 40) -> tuple[str, Places]:
    found = [{"t": f"{texts[number % 2]} {number}", "u": texts[0], "y": "ab"[number % 2]} for number in range(rows)]
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, found)))
    (folder / "my.yml").write_text(
        f"{{name: n, files: {{train: train.jsonl}}, held_out: 0.2, text: {columns}, label: y}}"
    )
    (task,), files = chosen_tasks([folder / "my.yml"])
    return task, Places(folder, task_files=tuple(files))


def saved(folder: Path, tokenizer: Any, **shape: Any) -> str:
    config = transformers.RobertaConfig(**{**SHAPE, "vocab_size": len(tokenizer), "pad_token_id": 1, **shape})
    transformers.RobertaModel(config).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    return str(folder / "model")


def test_chinese_spelled_in_bytes_is_an_error(tmp_path: Path) -> None:
    task, places = own(tmp_path, CHINESE)
    model = saved(tmp_path, english_bytes())
    with pytest.raises(ModelError) as caught:
        Pipeline(Recipe.of(task=task, model=model, max_length=48), places)
    message = str(caught.value)
    assert "its tokenizer makes 2.9 tokens of each character of this text" in message
    assert "and 100% of the rows are cut at max_length=48" in message and "choose a model of this language" in message
    assert not (tmp_path / "steps").exists()


def test_text_of_the_language_of_a_tokenizer_is_accepted(tmp_path: Path) -> None:
    for tokenizer, texts in ((english_bytes(), ENGLISH), (chinese_characters(), CHINESE)):
        reader = reader_of(tokenizer)
        rows = reader.encode([texts])
        assert not unsuited([texts], rows, reader, lengths_of(list(map(len, rows)), 48))
    reader = reader_of(chinese_characters())
    rows = reader.encode([ENGLISH])
    assert "of the tokens of this text are unknown to its tokenizer" in unsuited(
        [ENGLISH], rows, reader, lengths_of([9, 9], 48)
    )


def test_cut_rows_give_a_warning_before_training(tmp_path: Path) -> None:
    """Texts of 101 to 117 tokens are cut to 48."""
    words = ["the", "soup", "was", "good", "and", "the", "room", "was", "bad"]
    lines = [" ".join(words[place % len(words)] for place in range(99 + number % 17)) for number in range(34)]
    rows = (json.dumps({"t": f"{text} ", "y": "ab"[number % 2]}) for number, text in enumerate(lines))
    (tmp_path / "train.jsonl").write_text("\n".join(rows))
    (tmp_path / "my.yml").write_text("{name: n, files: {train: train.jsonl}, held_out: 0.2, text: t, label: y}")
    (task,), files = chosen_tasks([tmp_path / "my.yml"])
    places = Places(tmp_path, task_files=tuple(files))
    with pytest.warns(
        UserWarning, match=r"task own-n-\w+: \d+ of \d+ rows of .* \(100%\) are longer than max_"
    ) as caught_warnings:
        lengths = Pipeline(Recipe.of(task=task, max_length=48), places).lengths
    assert len([one for one in caught_warnings if "would hold 95 %" in str(one.message)]) == 2, "train and dev"
    assert all(found.cut == found.rows and found.median >= 101 for found in lengths.values())
    assert max(found.longest for found in lengths.values()) == 117


def test_uncut_rows_give_no_warning(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        pipeline = Pipeline(Recipe.of(task="toy-sentiment", max_length=48), Places(tmp_path))
    assert all(found.cut == 0 and found.longest < 48 for found in pipeline.lengths.values())


def test_a_plan_counts_tokens_as_a_run_does(tmp_path: Path) -> None:
    """The tokenizer.json alone gives the lengths that transformers gives, for one text and for two."""
    for number, tokenizer in enumerate((english_bytes(), chinese_characters(), toy_tokenizer())):
        folder = tmp_path / str(number)
        model = saved(folder, tokenizer)
        at_hand, whole = reader_at_hand(model), reader_of(tokenizer)
        assert at_hand is not None and at_hand.special == whole.special
        assert at_hand.encode([ENGLISH]) == whole.encode([ENGLISH])
        assert at_hand.encode([ENGLISH, CHINESE]) == whole.encode([ENGLISH, CHINESE])
    assert reader_at_hand("0", tmp_path / "elsewhere") is None and reader_at_hand("owner/nothing") is None
    (tmp_path / "0" / "model" / "tokenizer.json").write_text("{}")
    assert reader_at_hand(str(tmp_path / "0" / "model")) is None, "a run reports what is wrong with it"
    assert isinstance(reader_at_hand(BUILTIN), Reader)


def test_a_sample_is_spread_over_all_rows() -> None:
    assert sampled([["a", "b"], ["c", "d"]]) == [["a", "b"], ["c", "d"]]
    (some,) = sampled([[str(number) for number in range(4001)]])
    assert len(some) == 1334 and some[-1] == "3999"


@pytest.mark.parametrize("types", [1, 2])
def test_token_types_that_an_encoder_lacks_are_an_error(types: int, tmp_path: Path) -> None:
    """A tokenizer that gives types 0 and 1, as BERT's, with an encoder that has one row for them, as RoBERTa."""
    model = saved(tmp_path, toy_tokenizer(), type_vocab_size=types, pad_token_id=0)
    task, places = own(tmp_path, ["the soup was good", "the room was bad"], "[t, u]")
    recipe = Recipe.of(task=task, model=model, max_length=48)
    if types == 2:
        assert "token_type_ids" in Pipeline(recipe, places).train_rows.column_names
        return
    with pytest.raises(ModelError, match=r"gives token types 0 to 1, but the encoder has only 1 \(type_vocab_size\)"):
        Pipeline(recipe, places)
    settings = tmp_path / "model" / "tokenizer_config.json"
    fix = {"model_input_names": ["input_ids", "attention_mask"]}
    settings.write_text(json.dumps({**json.loads(settings.read_text()), **fix}))
    assert "token_type_ids" not in Pipeline(recipe, places).train_rows.column_names, "as the message says"
    task, places = own(tmp_path, ["the soup was good", "the room was bad"])
    assert Pipeline(Recipe.of(task=task, model=model, max_length=48), places), "one sentence has one type"
