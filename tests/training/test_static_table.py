"""A static table on small generated tasks, from the encoder's vectors to the file and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import DatasetDict

import xtc_study
from xtc_study.compress.quantization.layers import LowBitEmbedding
from xtc_study.deploy.evaluate import measure, wrong_examples
from xtc_study.deploy.predict import predict_texts
from xtc_study.model_source import ModelError
from xtc_study.packed.layers import PackedEmbedding
from xtc_study.places import Places
from xtc_study.recipe import Recipe
from xtc_study.tasks.catalogue import load_task
from xtc_study.training import pipeline as module
from xtc_study.training.pipeline import Pipeline


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every task has 64 training and 48 dev examples."""

    def load(name: str, data_dir: Path | None = None, files: Sequence[Path] = ()) -> DatasetDict:
        text = load_task(name, data_dir, files)
        return DatasetDict({split: rows.select(range(64 if split == "train" else 48)) for split, rows in text.items()})

    monkeypatch.setattr(module, "load_task", load)


def recipe(task: str = "toy-inference", **fields: Any) -> Recipe:
    return Recipe.of(**{"task": task, "max_length": 32, "static": 16, "embedding_bits": 1, "rest": "8bit", **fields})


@pytest.mark.parametrize(
    ("task", "bits", "features"), [("toy-inference", 1, 65), ("toy-sentiment", 4, 16), ("toy-similarity", 8, 1)]
)
def test_the_file_loads_exactly_and_predicts_what_was_scored(
    task: str, bits: int, features: int, tmp_path: Path
) -> None:
    pipeline = Pipeline(recipe(task, embedding_bits=bits), Places(tmp_path))
    evaluation = measure(pipeline, None, pipeline.student(), tmp_path / "model")
    assert evaluation.metrics["reload_difference"] == 0 and evaluation.curve == []
    assert evaluation.model.classifier.in_features == features
    assert isinstance(evaluation.model.word_embeddings, PackedEmbedding)

    # The score, the sizes and the empty place of a teacher.
    rows = evaluation.metrics["rows"]
    assert all(row["teacher_value"] is None and row["best_value"] is None for row in rows)
    assert evaluation.predictions["teacher_prediction"].isna().all() and len(wrong_examples(pipeline, evaluation)) <= 8
    table = len(pipeline.tokenizer) * 16 * bits // 8
    assert evaluation.metrics["size_bytes_paper"] == table
    assert evaluation.metrics["size_bytes"] == (tmp_path / "model" / "model.safetensors").stat().st_size > table

    # Any engine, and the command that predicts texts, give the same.
    text = pipeline.text["dev"]
    pairs = ["\t".join(row[field] for field in pipeline.task.text_fields) for row in text]
    for engine in ("torch", "auto"):
        found = list(predict_texts(tmp_path / "model", pairs, engine))
        names = pipeline.task.labels
        given = [one["value"] if not names else names.index(one["label"]) for one in found]
        assert given == pytest.approx(evaluation.predictions["prediction"].tolist(), abs=1e-6)
    loaded = xtc_study.load(tmp_path / "model")
    assert type(loaded).__name__ == "StaticForSequenceClassification" and loaded.config.model_type == "xtc-static"


def test_tasks_widths_and_bits_share_the_encoders_vectors(tmp_path: Path) -> None:
    first = Pipeline(recipe(), Places(tmp_path)).student()
    other = Pipeline(recipe("toy-sentiment", static=8, embedding_bits=32), Places(tmp_path))
    student = other.student()
    assert first.reused == 0 and student.reused == 1
    record = json.loads((tmp_path / "steps" / student.step.address / "step.json").read_text())
    assert record["phase"] == "static" and record["seconds"] > 0 and record["parent"] == other.steps[0].address
    again = Pipeline(recipe(seed=1, epochs=9), Places(tmp_path)).student()
    assert again.reused == 2
    state = first.model.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in again.model.state_dict().items())
    assert (
        isinstance(first.model.word_embeddings, LowBitEmbedding)
        and type(student.model.word_embeddings) is torch.nn.Embedding
    )
    special = other.tokenizer.all_special_ids
    assert (student.model.word_embeddings.weight[special] == 0).all()


def test_dev_rows_shape_nothing_of_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Pipeline(recipe(), Places(tmp_path / "a")).student().model.state_dict()
    load = module.load_task

    def noise(*given: Any) -> DatasetDict:
        text = load(*given)
        return DatasetDict(train=text["train"], dev=text["dev"].map(lambda row: {"label": 0, "sentence1": "a"}))

    monkeypatch.setattr(module, "load_task", noise)
    other = Pipeline(recipe(), Places(tmp_path / "b")).student().model.state_dict()
    assert all(torch.equal(tensor, first[name]) for name, tensor in other.items())


def test_the_tasks_vocabulary_makes_the_table_smaller(tmp_path: Path) -> None:
    sizes = {}
    for vocabulary in ("full", "task"):
        pipeline = Pipeline(recipe(vocabulary=vocabulary), Places(tmp_path))
        evaluation = measure(pipeline, None, pipeline.student(), tmp_path / vocabulary)
        sizes[vocabulary] = (evaluation.metrics["size_bytes"], evaluation.metrics["rows"][0]["value"])
    assert sizes["task"][0] < sizes["full"][0]
    assert sizes["task"][1] == sizes["full"][1], "no dev row has a token that is gone"


def test_a_table_has_no_teacher_and_is_no_wider_than_the_encoder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a table of token vectors has no teacher"):
        Pipeline(recipe(), Places(tmp_path)).teacher()
    with pytest.raises(ModelError, match="static=65: the encoder's output has 64 numbers"):
        Pipeline(recipe(static=65), Places(tmp_path))
    assert not (tmp_path / "steps").exists(), "before anything is made"
