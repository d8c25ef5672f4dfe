"""A dry run reports what a model family cannot do before a teacher is trained; supported families are trained."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from datasets import DatasetDict
from safetensors import SafetensorError

from xtc_study.deploy.evaluate import measure
from xtc_study.model_source import ModelError
from xtc_study.packed import checkpoint
from xtc_study.places import Places
from xtc_study.recipe import Recipe
from xtc_study.runs.step_store import UnreadableStepError
from xtc_study.tasks.catalogue import load_task
from xtc_study.tasks.generated.vocabulary import VOCABULARY, toy_tokenizer
from xtc_study.training import dry_run, step_files
from xtc_study.training import pipeline as module
from xtc_study.training.pipeline import Pipeline
from xtc_study.training.predict import predict
from xtc_study.training.step_files import WrittenOtherwiseError

SHAPE = {
    "vocab_size": len(VOCABULARY),
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 66,
    "pad_token_id": 0,
}
QUICK = {"batch_size": 16, "max_length": 32, "teacher_epochs": 0.5, "reduce_epochs": 0.25, "epochs": 0.25}


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every task has 64 training and 48 dev examples."""

    def load(name: str, data_dir: Path | None = None, files: Sequence[Path] = ()) -> DatasetDict:
        text = load_task(name, data_dir, files)
        return DatasetDict({split: rows.select(range(64 if split == "train" else 48)) for split, rows in text.items()})

    monkeypatch.setattr(module, "load_task", load)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., str]:
    """Write a tiny random encoder of a kind with its tokenizer: ``folder(kind, labels=None, **shape)``.

    With ``labels`` it has a classifier of these classes.
    """

    def make(kind: str, labels: dict[int, str] | None = None, **shape: Any) -> str:
        config = transformers.AutoConfig.for_model(kind, **{**SHAPE, **shape})
        if labels is not None:
            config.num_labels, config.id2label = len(labels), labels
            config.label2id = {name: number for number, name in labels.items()}
        auto = transformers.AutoModel if labels is None else transformers.AutoModelForSequenceClassification
        torch.manual_seed(0)
        auto.from_config(config).save_pretrained(tmp_path / kind)
        toy_tokenizer().save_pretrained(tmp_path / kind)
        return str(tmp_path / kind)

    return make


def recipe(**fields: Any) -> Recipe:
    return Recipe.of(**{"task": "toy-sentiment", **QUICK, **fields})


@pytest.mark.parametrize(
    ("kind", "shape", "fields", "message"),
    [
        ("fnet", {}, {}, "fnet cannot be trained.*'quantise': it returns no attention scores.*stages=0"),
        (
            "albert",
            {"inner_group_num": 4, "embedding_size": 32},
            {},
            "albert cannot.*'quantise': it returns 16 attention scores for 4 layers, but the loss .* 4.*stages=0",
        ),
        ("fnet", {}, {"attention_loss": "maps"}, "fnet cannot.*'quantise': it returns no attention scores.*stages=0"),
        (
            "albert",
            {"inner_group_num": 4, "embedding_size": 32},
            {"attention_weight": 0, "intervention": 0.3},
            "albert cannot.*'quantise': it returns 16 attention scores for 4 layers",
        ),
        ("xmod", {}, {"layers": 2}, "xmod cannot.*'teacher': ValueError: Input language unknown"),
        (
            "mra",
            {},
            {"stages": 0},
            "mra cannot.*'the packed file': CheckpointError: packed/model.safetensors: mra.emb",
        ),
        (
            "esm",
            {"mask_token_id": 4},
            {"layers": 1},
            "size of its esm.contact_head.* number of layers; use it at its f",
        ),
        (
            "albert",
            {"num_hidden_groups": 4, "embedding_size": 32},
            {"layers": 2},
            "weights such as albert.encoder.albert_layer_groups.2.* whatever the number of layers; use it at its full",
        ),
    ],
    ids=[
        "fnet",
        "albert of inner groups",
        "fnet by maps",
        "albert with a stand-in",
        "xmod",
        "mra",
        "esm of one layer",
        "albert of four groups",
    ],
)
def test_an_unsupported_family_is_an_error_before_anything_is_trained(
    kind: str, shape: dict[str, Any], fields: dict[str, Any], message: str, folder: Callable[..., str], tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        Pipeline(recipe(model=folder(kind, **shape), **fields), Places(tmp_path))
    assert len(str(caught.value)) < 600 and str(caught.value).count(str(tmp_path)) == 1
    assert not (tmp_path / "steps").exists()


@pytest.mark.parametrize(
    ("kind", "shape", "fields"),
    [
        ("nomic_bert", {}, {"layers": 2}),
        ("gte", {}, {"layers": 2, "weight_bits": 2, "rest": "8bit"}),
        ("esm", {"mask_token_id": 4, "position_embedding_type": "rotary"}, {}),
        ("fnet", {}, {"stages": 0}),
        ("modernbert", {}, {"input_norm": "rms", "weight_start": "least-squares", "word_start": "static"}),
        (
            "modernbert",
            {"local_attention": 8, "global_attn_every_n_layers": 2, "cls_token_id": 1, "sep_token_id": 2},
            {"attention_loss": "maps", "intervention": 0.5, "label_weight": 0.5, "temperature": 2},
        ),
    ],
    ids=["nomic", "gte", "esm", "fnet on labels alone", "other starts", "modernbert by maps with a stand-in"],
)
def test_a_supported_family_is_trained_and_its_steps_are_reused(
    kind: str, shape: dict[str, Any], fields: dict[str, Any], folder: Callable[..., str], tmp_path: Path
) -> None:
    chosen = recipe(model=folder(kind, **shape), **fields)
    first = Pipeline(chosen, Places(tmp_path))
    evaluation = measure(first, first.teacher(), first.student(), tmp_path / "file")
    assert evaluation.metrics["steps_reused"] == 0 and evaluation.metrics["reload_difference"] == 0.0
    again = Pipeline(chosen, Places(tmp_path))
    assert again.teacher().reused + again.student().reused == len(again.steps)


@pytest.mark.parametrize(
    ("field", "value", "function"),
    [("word_start", "static", "static_word_start"), ("weight_start", "least-squares", "set_least_squares_weights")],
)
def test_a_start_that_a_family_cannot_have_is_an_error_before_anything_is_trained(
    field: str, value: str, function: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: Any, **named: Any) -> None:
        raise IndexError("no such output")

    monkeypatch.setattr(dry_run, function, fail)
    Pipeline(recipe(), Places(tmp_path / "without"))
    with pytest.raises(
        ModelError, match=r"bert cannot be trained with this recipe.*'quantise': IndexError: no such out"
    ):
        Pipeline(recipe(**{field: value}), Places(tmp_path / "with"))
    assert not (tmp_path / "with" / "steps").exists()


def test_dry_run_keeps_the_random_state_and_is_skipped_for_trained_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []
    real = module.dry_run

    def watched(*words: Any) -> None:
        torch.manual_seed(5)
        before = torch.get_rng_state()
        real(*words)
        tried.append(torch.equal(before, torch.get_rng_state()))

    monkeypatch.setattr(module, "dry_run", watched)
    Pipeline(recipe(), Places(tmp_path)).student()
    Pipeline(recipe(), Places(tmp_path)).student()
    assert tried == [True]


@pytest.mark.parametrize("phase", ["teacher", "quantise", "packed"])
def test_a_full_disk_is_not_blamed_on_the_model(phase: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """safetensors does not raise an OSError."""
    full, rooms = "Error while serializing: I/O error: No space left on device (os error 28)", []

    def writer(module: Any, name: str) -> None:
        real = getattr(module, name)

        def write(model: Any, folder: Path, *words: Any, **options: Any) -> None:
            rooms.append(folder.parent)
            assert [other.name for other in folder.parent.iterdir()] == [], "the folder before is gone"
            if folder.name == phase:
                raise SafetensorError(full)
            real(model, folder, *words, **options)

        monkeypatch.setattr(module, name, write)

    writer(dry_run, "write_model")
    writer(checkpoint, "save_packed")
    with pytest.raises(SafetensorError, match="No space left"):
        Pipeline(recipe(), Places(tmp_path / "new"))
    assert rooms[0].parent == tmp_path / "new" / "steps", "on the disk that will hold the steps"
    assert rooms[0].suffix == ".partial" and not (tmp_path / "new" / "steps").exists()


def test_a_disk_error_on_reading_back_is_not_blamed_on_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> Any:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(step_files, "load_file", full)
    with pytest.raises(WrittenOtherwiseError, match="Input/output error"):
        Pipeline(recipe(), Places(tmp_path))


def test_a_step_that_cannot_be_read_back_is_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def otherwise(model: Any, folder: Path, low_bit: Any = None) -> None:
        raise WrittenOtherwiseError("classifier.weight has other values")

    def never(*words: Any, **options: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(module, "check_written", otherwise)
    pipeline = Pipeline(recipe(), Places(tmp_path))
    message = r"teacher of bert: classifier\.weight has other values.*It is not made again.*\.unreadable"
    with pytest.raises(UnreadableStepError, match=message):
        pipeline.teacher()
    monkeypatch.setattr(module, "train", never)
    with pytest.raises(UnreadableStepError, match=message):
        pipeline.teacher()
    with pytest.raises(UnreadableStepError, match=message):
        Pipeline(recipe(), Places(tmp_path))
    assert [path.name for path in tmp_path.glob("steps/*.unreadable/model.safetensors")] == ["model.safetensors"]


def test_a_teacher_fine_tuned_elsewhere_predicts_in_the_order_of_the_task(
    folder: Callable[..., str], tmp_path: Path
) -> None:
    name = folder("bert", {0: "Positive", 1: "negative"})
    pipeline = Pipeline(recipe(model=name, teacher_epochs=0), Places(tmp_path))
    teacher = pipeline.teacher()
    assert teacher.seconds == 0.0 and teacher.curve == []
    plain = transformers.AutoModelForSequenceClassification.from_pretrained(name)
    rows = pipeline.dev["dev"]
    found, expected = predict(teacher.model, rows, pipeline.padding), predict(plain, rows, pipeline.padding)
    assert np.array_equal(found, expected[:, ::-1])
    evaluation = measure(pipeline, teacher, pipeline.student(), tmp_path / "file")
    assert evaluation.metrics["heads"] == {
        "model": "the checkpoint's head has the task's classes (negative, positive); its rows are reordered from "
        "Positive, negative"
    }


def test_an_unused_head_gives_a_warning_and_is_recorded(folder: Callable[..., str], tmp_path: Path) -> None:
    chosen = recipe(model=folder("bert", {0: "spam", 1: "ham"}))
    pipeline = Pipeline(chosen, Places(tmp_path))
    reason = (
        "the checkpoint's head has the classes spam, ham, the task negative, positive; a new one is drawn at random"
    )
    with pytest.warns(UserWarning, match=f"model='.*bert': {reason}"):
        pipeline.teacher()
    pipeline.student()
    assert Pipeline(chosen, Places(tmp_path)).head_notes() == {"model": reason}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "brings no classification head"),
        ({0: "LABEL_0", 1: "LABEL_1"}, "does not name the 2 classes"),
        ({0: "a", 1: "b"}, "has the classes a, b, the task negative, positive"),
    ],
    ids=["none", "no names", "other names"],
)
def test_a_teacher_without_training_must_have_the_classes_of_the_task(
    labels: dict[int, str] | None, message: str, folder: Callable[..., str], tmp_path: Path
) -> None:
    name = folder("bert", labels)
    with pytest.raises(
        ModelError, match=f"teacher_epochs=0: model='.*bert' cannot be the teacher without training.*{message}"
    ):
        Pipeline(recipe(model=name, teacher_epochs=0), Places(tmp_path))
    assert not (tmp_path / "steps").exists()
