"""A student stored with its task's vocabulary: the same predictions from fewer bytes, if the text has its tokens."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from datasets import Dataset, DatasetDict
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from xtc_study.deploy.evaluate import Evaluation, measure
from xtc_study.deploy.export.folder import rescored
from xtc_study.model_source import ModelError
from xtc_study.places import Places
from xtc_study.recipe import Recipe
from xtc_study.tasks.catalogue import load_task
from xtc_study.tasks.generated.vocabulary import VOCABULARY
from xtc_study.training import pipeline as pipeline_module
from xtc_study.training.pipeline import Pipeline
from xtc_study.training.pretrained import untrained_encoder
from xtc_study.training.task_vocabulary import TaskVocabulary


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("steps")


def carried_out(vocabulary: str, rest: str, rows: int, steps: Path, folder: Path) -> tuple[Pipeline, Evaluation]:
    text = load_task("toy-inference")
    little = DatasetDict({"train": text["train"].select(range(rows)), "dev": text["dev"].select(range(48))})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline_module, "load_task", lambda name, data_dir, files: little)
        recipe = Recipe.of(
            task="toy-inference", max_length=48, teacher_epochs=0.5, epochs=0.5, vocabulary=vocabulary, rest=rest
        )
        pipeline = Pipeline(recipe, Places(steps / str(rows)))
    return pipeline, measure(pipeline, pipeline.teacher(), pipeline.student(), folder)


@pytest.mark.parametrize("rest", ["fp32", "8bit"])
def test_the_smaller_file_gives_the_same_predictions(steps: Path, rest: str, tmp_path: Path) -> None:
    _, whole = carried_out("full", rest, 512, steps, tmp_path / "whole")
    pipeline, cut = carried_out("task", rest, 512, steps, tmp_path / "cut")
    assert cut.metrics["steps"] == whole.metrics["steps"], "cut after training: every step is shared"
    record = cut.metrics["vocabulary"]
    assert whole.metrics["vocabulary"] is None
    assert record["of"] == len(VOCABULARY) > 2 * record["pieces"] and record["rows_spelled_anew"] == {"dev": 0}
    assert cut.predictions.equals(whole.predictions) and cut.metrics["rows"] == whole.metrics["rows"]
    gone = record["of"] - record["pieces"]
    saved = whole.metrics["size_bytes"] - cut.metrics["size_bytes"]
    scale = {"fp32": 4, "8bit": 1}[rest]
    assert abs(saved - gone * (64 // 8 + scale)) < 64, "one bit a weight and a scale a row; the header may differ"

    assert f"This model has {record['pieces']} of the encoder's" in (tmp_path / "cut" / "README.md").read_text()

    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "cut", local_files_only=True)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "cut")
    assert len(tokenizer) == model.config.vocab_size == record["pieces"]
    row = pipeline.text["dev"][0]
    with torch.inference_mode():
        logits = model(**tokenizer(row["sentence1"], row["sentence2"], return_tensors="pt")).logits
    assert int(logits.argmax()) == cut.predictions["prediction"][0]
    again = rescored(tmp_path / "cut", pipeline.recipe, cut.metrics["rows"], None)
    assert {row["metric"] for row in again} == {row["metric"] for row in cut.metrics["rows"]}


def test_rows_with_removed_words_are_counted(steps: Path, tmp_path: Path) -> None:
    pipeline, cut = carried_out("task", "fp32", 4, steps, tmp_path / "cut")
    assert pipeline.vocabulary is not None
    known = set(pipeline.vocabulary.tokenizer.get_vocab())
    strange = 0
    for row in pipeline.text["dev"]:
        ids = pipeline.tokenizer(row["sentence1"], row["sentence2"])["input_ids"]
        strange += not set(pipeline.tokenizer.convert_ids_to_tokens(ids)) <= known
    assert cut.metrics["vocabulary"]["rows_spelled_anew"] == {"dev": strange} and strange > 0


def test_a_tokenizer_that_cannot_be_cut_is_an_error_before_training() -> None:
    rows = Dataset.from_dict({"input_ids": [[2, 7, 3], [2, 9, 9, 3]]})
    slow: Any = SimpleNamespace(is_fast=False)
    with pytest.raises(ModelError, match=r"vocabulary='task': model='m': SimpleNamespace has no tokenizer.json"):
        TaskVocabulary("m", untrained_encoder("builtin:tiny"), slow, rows)
