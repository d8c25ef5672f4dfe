"""The results of a run on a small real training, measured on the loaded file."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from datasets import DatasetDict
from transformers import AutoModelForSequenceClassification

import xtc_study
from xtc_study.compress.quantization import layers, quantizers
from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.compress.quantization.quantizers import Quantized, WeightFormat, quantize_weight
from xtc_study.deploy import evaluate as module
from xtc_study.deploy.evaluate import ReloadError, measure, wrong_examples
from xtc_study.packed.as_stored import rounded_student
from xtc_study.packed.engines import engine_for_loading
from xtc_study.places import Places
from xtc_study.recipe import Recipe
from xtc_study.tasks.catalogue import find_task, load_task
from xtc_study.tasks.metrics import score
from xtc_study.training import pipeline as pipeline_module
from xtc_study.training.pipeline import Pipeline
from xtc_study.training.predict import predict


@pytest.fixture(scope="module", params=["toy-inference", "toy-similarity"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    folder = tmp_path_factory.mktemp("outcome")
    text = load_task(request.param)
    little = DatasetDict({split: rows.select(range(64 if split == "train" else 48)) for split, rows in text.items()})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline_module, "load_task", lambda name, data_dir, files: little)
        recipe = Recipe.of(task=request.param, batch_size=16, max_length=48, teacher_epochs=2, epochs=1)
        pipeline = Pipeline(recipe, Places(folder))
    teacher, student = pipeline.teacher(), pipeline.student()
    return pipeline, teacher, student, measure(pipeline, teacher, student, folder / "model"), folder


def test_scores_equal_those_of_the_stored_predictions(trained: tuple[Any, ...]) -> None:
    pipeline, _, _, evaluation, _ = trained
    assert [row["metric"] for row in evaluation.metrics["rows"]] == list(pipeline.task.metrics)
    frame = evaluation.predictions
    assert frame["idx"].tolist() == list(range(48)) and frame["label"].tolist() == pipeline.text["dev"]["label"][:]
    for row in evaluation.metrics["rows"]:
        assert row["value"] == score(row["metric"], frame["label"], frame["prediction"])
        assert row["teacher_value"] == score(row["metric"], frame["label"], frame["teacher_prediction"])
        assert row["n_examples"] == 48
    assert (
        set(evaluation.metrics["lengths"]) == set(pipeline.text) and evaluation.metrics["lengths"]["dev"]["cut"] == 0
    )
    assert set(evaluation.metrics["one_answer"]) <= {"dev"}
    # While it trains, the student's scores are taken by other kernels of attention, which may flip a rounding.
    assert evaluation.metrics["rows"][0]["best_value"] >= evaluation.metrics["rows"][0]["value"] - 0.01


@pytest.mark.parametrize("by", ["xtc_study", "transformers"])
def test_the_file_is_small_and_gives_the_trained_logits(trained: tuple[Any, ...], engine: str, by: str) -> None:
    pipeline, _, student, evaluation, folder = trained
    if by == "transformers":
        with engine_for_loading(engine):
            loaded = AutoModelForSequenceClassification.from_pretrained(folder / "model")
    else:
        loaded = xtc_study.load(folder / "model", engine)
    batch = pipeline.padding([pipeline.dev["dev"][index] for index in range(48)])
    batch.pop("labels")
    assert (batch["attention_mask"] == 0).any(), "padding is part of the test"
    with torch.inference_mode():
        assert torch.equal(loaded(**batch).logits, student.model(**batch).logits)
    assert evaluation.metrics["size_bytes"] == (folder / "model" / "model.safetensors").stat().st_size
    assert evaluation.metrics["teacher_size_bytes"] > 10 * evaluation.metrics["size_bytes"]
    assert evaluation.metrics["size_bytes"] > evaluation.metrics["size_bytes_paper"]


def test_wrong_examples_are_those_that_the_student_gets_wrong(trained: tuple[Any, ...]) -> None:
    pipeline, _, _, evaluation, _ = trained
    table = wrong_examples(pipeline, evaluation, count=5)
    assert list(table.columns[:2]) == ["sentence1", "sentence2"] and 0 < len(table) <= 5
    if pipeline.task.is_regression:
        off = (table["prediction"] - table["label"]).abs()
        assert off.is_monotonic_decreasing
    else:
        assert (table["prediction"] != table["label"]).all() and set(table["label"]) <= set(pipeline.task.labels)


def test_a_file_with_other_logits_is_an_error(
    trained: tuple[Any, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, teacher, student, _, _ = trained

    def damaged(folder: Path, engine: str) -> Any:
        model = xtc_study.load(folder, engine)
        with torch.no_grad():
            model.classifier.bias[0] += 1e-6
        return model

    monkeypatch.setattr(module, "load", damaged)
    with pytest.raises(ReloadError, match="split dev: the loaded model's logits differ"):
        measure(pipeline, teacher, student, tmp_path)


def test_the_best_dev_score_is_of_the_last_phase(trained: tuple[Any, ...]) -> None:
    pipeline, teacher, student, _, folder = trained
    before = {"step": 1, "term": "dev score", "value": 0.99, "phase": "reduce", "stage": 1}
    evaluation = measure(pipeline, teacher, replace(student, curve=[before, *student.curve]), folder / "again")
    assert evaluation.metrics["rows"][0]["best_value"] < 0.99


@pytest.mark.parametrize("bits", [1, 2])
@pytest.mark.parametrize("granularity", ["tensor", "row"])
@pytest.mark.parametrize("rest", ["fp16", "8bit"])
def test_trained_students_of_each_format_reload_exactly(
    trained: tuple[Any, ...], bits: int, granularity: str, rest: str, tmp_path: Path
) -> None:
    """A trained teacher's weights in each format, saved and scored from the file with every engine."""
    pipeline, teacher, student, _, _ = trained
    recipe = pipeline.recipe.model_copy(update={"weight_bits": bits, "granularity": granularity, "rest": rest})
    model = copy.deepcopy(teacher.model)
    make_low_bit(model, recipe)
    pipeline = copy.copy(pipeline)
    pipeline.recipe = recipe
    evaluation = measure(pipeline, teacher, replace(student, model=model), tmp_path)
    logits = predict(evaluation.model, pipeline.dev["dev"], pipeline.padding)
    as_stored = predict(rounded_student(model, rest), pipeline.dev["dev"], pipeline.padding)
    by_numba = predict(xtc_study.load(tmp_path, "numba"), pipeline.dev["dev"], pipeline.padding)
    assert np.array_equal(logits, as_stored) and np.array_equal(logits, by_numba)
    card = (tmp_path / "README.md").read_text()
    assert f"{evaluation.metrics['size_bytes']:,}" in card and f"{evaluation.metrics['rows'][0]['value']:.4f}" in card
    assert yaml.safe_load(card.split("---\n")[1])["model-index"][0]["name"] == recipe.run_id


class _Summing:
    """Binary and ternary quantisers that sum in another order each time, so that scales differ in their last bits."""

    def __init__(self, binary: Any, ternary: Any) -> None:
        self.rules, self.calls, self.scales = {"binary": binary, "ternary": ternary}, 0, set[float]()

    def rule(self, name: str) -> Any:
        def rolled(groups: torch.Tensor, dtype: torch.dtype = torch.float32) -> Quantized:
            self.calls += 1
            shift = 97 * self.calls % groups.shape[-1]
            integers, scale = self.rules[name](groups.roll(shift, -1), dtype)
            if groups.shape[-1] == 64 * 64:
                self.scales.add(float(scale.flatten()[0]))
            return Quantized(integers.roll(-shift, -1), scale)

        return rolled


GPU_RECIPES: dict[str, dict[str, Any]] = {
    "1 bit": {"weight_bits": 1},
    "2 bits a row, all of it": {
        "weight_bits": 2, "granularity": "row", "quantise_tables": True, "quantise_attention": True, "rest": "8bit",
        "vocabulary": "task",
    },
    "groups, fixed ranges": {
        "weight_bits": 1, "granularity": "group:16", "activation_scale": "tensor", "activation_range": "static",
        "rest": "fp16",
    },
}  # fmt: skip


@pytest.fixture(params=GPU_RECIPES)
def pipeline(request: pytest.FixtureRequest, trained: tuple[Any, ...]) -> Pipeline:
    """A pipeline that shares the teacher of the one above and has not trained its student yet."""
    before = trained[0]
    if before.task.is_regression:
        pytest.skip("one task is enough")
    recipe = Recipe.of(**{**before.recipe.scientific(), **GPU_RECIPES[request.param], "epochs": 1.25})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline_module, "load_task", lambda name, data_dir, files: before.text)
        return Pipeline(recipe, before.places)


def test_a_student_that_sums_in_another_order_reloads_exactly(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Simulates a GPU: the layers sum from the other end."""

    def turned(weight: torch.Tensor, fmt: WeightFormat, dtype: torch.dtype = torch.float32) -> Quantized:
        integers, scale = quantize_weight(weight.flip(-1), fmt, dtype)
        return Quantized(integers.flip(-1), scale.flip(-1))

    monkeypatch.setattr(layers, "quantize_weight", turned)
    teacher, student = pipeline.teacher(), pipeline.student()
    table = student.model.get_input_embeddings()
    assert not torch.equal(turned(table.weight, table.weight_format).scale,
                           quantize_weight(table.weight, table.weight_format).scale)  # fmt: skip
    evaluation = measure(pipeline, teacher, student, tmp_path)
    assert evaluation.metrics["reload_difference"] == 0.0
    _file_gives_the_scores(pipeline, evaluation, tmp_path)


def test_no_scale_is_recomputed_after_training(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summing = _Summing(quantizers.binary, quantizers.ternary)
    for name in summing.rules:
        monkeypatch.setattr(quantizers, name, summing.rule(name))
    teacher, student = pipeline.teacher(), pipeline.student()
    evaluation = measure(pipeline, teacher, student, tmp_path)
    assert summing.calls > 0 and (pipeline.recipe.granularity != "tensor" or len(summing.scales) > 1)
    calls = summing.calls
    again = measure(pipeline, teacher, student, tmp_path / "again")
    assert summing.calls == calls, "a frozen student is written as often as one likes"
    assert again.metrics["rows"] == evaluation.metrics["rows"]
    _file_gives_the_scores(pipeline, evaluation, tmp_path)


def _file_gives_the_scores(pipeline: Pipeline, evaluation: Any, folder: Path) -> None:
    filed = pipeline.filed(pipeline.student().model)
    logits = predict(xtc_study.load(folder, "torch"), filed.dev["dev"], filed.padding)
    assert evaluation.predictions["prediction"].tolist() == logits.argmax(-1).tolist()


def test_a_student_that_no_file_can_store_is_an_error_before_writing(trained: tuple[Any, ...], tmp_path: Path) -> None:
    pipeline, teacher, student, _, _ = trained
    model = copy.deepcopy(student.model).train().eval()
    with torch.no_grad():
        model.bert.encoder.layer[1].output.dense.weight.fill_(1e38)
    with pytest.raises(
        ValueError, match=r"module 'bert\.encoder\.layer\.1\.output\.dense': a scale of its weight is inf"
    ):
        measure(pipeline, teacher, replace(student, model=model), tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_student_trained_on_a_gpu_reloads_exactly(pipeline: Pipeline, tmp_path: Path) -> None:
    places = replace(pipeline.places, steps=tmp_path / "steps", device="cuda")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline_module, "load_task", lambda name, data_dir, files: pipeline.text)
        on_gpu = Pipeline(pipeline.recipe, places)
    evaluation = measure(on_gpu, on_gpu.teacher(), on_gpu.student(), tmp_path / "model")
    assert next(evaluation.model.parameters()).device.type == "cuda"
    assert evaluation.metrics["reload_difference"] == 0.0


def test_one_prediction_for_every_row_is_recorded() -> None:
    task = replace(find_task("toy-sentiment"), labels=("legit", "fraud"))
    always = pd.DataFrame({"split": "dev", "prediction": [0.0, 0.0, 0.0], "teacher_prediction": [0.0, 1.0, 0.0]})
    assert module._one_answer([always], task, "prediction") == {"dev": "legit"}
    assert module._one_answer([always], task, "teacher_prediction") == {}
    assert module._one_answer([always], find_task("stsb"), "prediction") == {"dev": "0"}
