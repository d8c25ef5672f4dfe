"""Encoders that do not fit the study, its text or their tokenizer are reported before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import transformers

from xtc_study.compress.reduction.layers import LayersError
from xtc_study.model_source import ModelError
from xtc_study.places import Places
from xtc_study.recipe import Recipe
from xtc_study.tasks.catalogue import chosen_tasks
from xtc_study.tasks.generated.vocabulary import VOCABULARY, toy_tokenizer
from xtc_study.training.checks import dry_run_on_meta
from xtc_study.training.pipeline import Pipeline
from xtc_study.training.untrained import write_untrained_encoder

SHAPE = {
    "vocab_size": len(VOCABULARY),
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}
GPT = {"vocab_size": len(VOCABULARY), "n_embd": 32, "n_layer": 2, "n_head": 4}
T5 = {"vocab_size": len(VOCABULARY), "d_model": 32, "d_kv": 8, "num_layers": 2, "num_heads": 4, "d_ff": 64}
FNET = {field: value for field, value in SHAPE.items() if field != "num_attention_heads"}
VIT = {field: value for field, value in SHAPE.items() if field != "vocab_size"}


def model(family: str, **shape: Any) -> Any:
    return getattr(transformers, f"{family}Model")(getattr(transformers, f"{family}Config")(**shape))


@pytest.mark.parametrize(
    ("family", "shape", "fields", "message"),
    [
        ("GPT2", GPT, {}, "gpt2 is not a text encoder; the study compresses encoders, which read a text in both"),
        ("T5", T5, {}, "t5 is an encoder and a decoder"),
        ("ViT", VIT, {}, "vit is not a text encoder"),
        ("Albert", {**SHAPE, "embedding_size": 32}, {}, "expected one stack of 2 layers, found 0"),
        ("ModernBert", {**SHAPE, "pad_token_id": 0}, {"layers": [1]}, r"layers \[1\] of this encoder cannot form"),
        ("Bert", {**SHAPE, "vocab_size": 50}, {}, "its tokenizer gives token 217, but the encoder has only 50"),
        ("Bert", {**SHAPE, "max_position_embeddings": 16}, {}, "reads at most 16 tokens, but a row of .* has 22"),
        ("Roberta", {**SHAPE, "max_position_embeddings": 20, "pad_token_id": 0}, {}, "reads at most 19 tokens"),
        ("FNet", FNET, {}, "the configuration of fnet has no num_attention_heads"),
        ("MPNet", SHAPE, {}, "mpnet has its own attention code.*BERT, RoBERTa.*stages=0, reduce_stages=0"),
        ("MPNet", SHAPE, {"stages": 0, "quantise_attention": True}, "mpnet has its own attention code"),
        ("Bert", SHAPE, {"granularity": "group:7"}, "group:7"),
        (
            "Electra",
            {**SHAPE, "embedding_size": 16},
            {"word_start": "static"},
            "word_start='static': model=.*its word table has 16 columns, the encoder's output 32; set",
        ),
        (
            "Bert",
            {**SHAPE, "intermediate_size": 32},
            {"ffn": "1/2"},
            "ffn='1/2': model=.*layer 0 has 6 linears from 32",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_unsupported_encoder_is_an_error(
    family: str, shape: dict[str, Any], fields: dict[str, Any], message: str, tmp_path: Path
) -> None:
    model(family, **shape).save_pretrained(tmp_path / "model")
    toy_tokenizer().save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match=message):
        Pipeline(Recipe.of(task="toy-sentiment", model=str(tmp_path / "model"), **fields), Places(tmp_path))
    assert not (tmp_path / "steps").exists()


@pytest.mark.parametrize(
    ("layers", "chosen", "message"),
    [
        (
            [1, 3],
            2,
            "relation_layer=2: no student layer learns from this layer of the teacher; choose 1 or 3, or null",
        ),
        ([0, 2, 3], 12, "relation_layer=12: no student layer .*; choose 0, 2 or 3, or null for the last"),
        ([3], 0, "relation_layer=0: .*; choose 3, or null"),
    ],
)
def test_relations_need_a_layer_that_the_student_learns_from(layers: list[int], chosen: int, message: str) -> None:
    recipe = Recipe.of(task="toy-sentiment", layers=layers, attention_loss="relations", relation_layer=chosen)
    with pytest.raises(LayersError, match=message):
        dry_run_on_meta(recipe, range(4), layers)
    dry_run_on_meta(recipe.model_copy(update={"relation_layer": layers[-1]}), range(4), layers)


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({}, True),
        ({"attention_weight": 0}, False),
        ({"attention_weight": 0, "intervention": 0.3}, True),
        ({"stages": 0}, False),
    ],
    ids=str,
)
def test_attention_code_of_its_own_matters_only_where_attention_is_read(
    fields: dict[str, Any], refused: bool, tmp_path: Path
) -> None:
    model("MPNet", **SHAPE).save_pretrained(tmp_path)
    recipe = Recipe.of(task="toy-sentiment", model=str(tmp_path), **fields)
    if refused:
        with pytest.raises(
            ModelError, match=r"mpnet has its own attention code.*set attention_weight=0, intervention=0"
        ):
            dry_run_on_meta(recipe, (0, 1), (0, 1))
    else:
        dry_run_on_meta(recipe, (0, 1), (0, 1))


def test_an_incomplete_model_folder_is_an_error(tmp_path: Path) -> None:
    def message() -> str:
        with pytest.raises(ModelError) as caught:
            Pipeline(Recipe.of(task="toy-sentiment", model=str(tmp_path)), Places(tmp_path)).teacher()
        return str(caught.value)

    model("Bert", **SHAPE).save_pretrained(tmp_path)
    assert "has no tokenizer (tokenizer.json, vocab.txt" in message()
    tokenizer = toy_tokenizer()
    tokenizer.pad_token = None
    tokenizer.save_pretrained(tmp_path)
    assert "its tokenizer has no padding token" in message()
    toy_tokenizer().save_pretrained(tmp_path)
    whole = (tmp_path / "tokenizer.json").read_bytes()
    for damage in (b"{}", b'{"added_tokens": []}'):  # a KeyError and an Exception of transformers and tokenizers
        (tmp_path / "tokenizer.json").write_bytes(damage)
        assert "the folder cannot be read (" in message()
    (tmp_path / "tokenizer.json").write_bytes(whole)
    (tmp_path / "model.safetensors").write_bytes(b"cut off")
    assert "the folder cannot be read (" in message()
    (tmp_path / "config.json").write_text('{"model_type": "evil", "auto_map": {"AutoConfig": "evil.Config"}}')
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')")
    assert "needs no custom code" in message()


def test_a_dev_row_longer_than_the_model_reads_is_an_error(tmp_path: Path) -> None:
    for name, words in (("train", 5), ("dev", 30)):
        rows = "".join(f"{'word ' * words}{number},{number % 2}\n" for number in range(8))
        (tmp_path / f"{name}.csv").write_text("text,label\n" + rows)
    (tmp_path / "my.yml").write_text("{name: n, files: {train: train.csv, dev: dev.csv}, text: text, label: label}")
    (name,), files = chosen_tasks([str(tmp_path / "my.yml")])
    texts = [f"word {number}" for number in range(8)]
    encoder = write_untrained_encoder(tmp_path / "fresh", texts, hidden_size=32, max_position_embeddings=16)
    places = Places(tmp_path, task_files=tuple(files))
    with pytest.raises(ModelError, match=r"reads at most 16 tokens, but a row of .* \(dev\) has 33; lower"):
        Pipeline(Recipe.of(task=name, model=str(encoder)), places)
    assert Pipeline(Recipe.of(task=name, model=str(encoder), max_length=16), places).longest == 16


def test_text_that_the_tokenizer_does_not_know_is_an_error(tmp_path: Path) -> None:
    english = [f"quantisation reduces memory number {number}" for number in range(20)]
    rows = "".join(f"{text},{number % 2}\n" for number, text in enumerate(english))
    (tmp_path / "train.csv").write_text("text,label\n" + rows)
    (tmp_path / "my.yml").write_text("{name: n, files: {train: train.csv}, held_out: 0.2, text: text, label: label}")
    (name,), files = chosen_tasks([str(tmp_path / "my.yml")])
    places = Places(tmp_path, task_files=tuple(files))
    with pytest.raises(ModelError, match=r"model='builtin:tiny': \d+% of the tokens of task 'own-n-.*unknown"):
        Pipeline(Recipe.of(task=name), places)
    encoder = write_untrained_encoder(tmp_path / "fresh", english)
    pipeline = Pipeline(Recipe.of(task=name, model=str(encoder)), places)
    assert pipeline.tokenizer.decode(pipeline.train_rows[0]["input_ids"]).startswith(
        "[CLS] quantisation reduces memory"
    )


def test_write_untrained_encoder_does_not_overwrite_a_folder(tmp_path: Path) -> None:
    folder = write_untrained_encoder(tmp_path / "fresh", ["some words"], hidden_size=32)
    assert transformers.AutoConfig.from_pretrained(folder).hidden_size == 32
    with pytest.raises(ValueError, match="already exists"):
        write_untrained_encoder(folder, ["some words"])
    with pytest.raises(ValueError, match="no text"):
        write_untrained_encoder(tmp_path / "other", [])


def test_training_on_labels_alone_needs_no_attention_scores(tmp_path: Path) -> None:
    model("MPNet", **SHAPE).save_pretrained(tmp_path)
    recipe = Recipe.of(task="toy-sentiment", model=str(tmp_path), layers=1, stages=0, reduce_stages=0)
    assert dry_run_on_meta(recipe, (0, 1), (1,)).config.model_type == "mpnet"
