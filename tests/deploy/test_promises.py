"""A file gives the score in metrics.json in every documented way of running it, with default options."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from datasets import DatasetDict
from typer.testing import CliRunner

import xtc_study
from xtc_study.cli import app
from xtc_study.deploy.evaluate import measure
from xtc_study.deploy.export.folder import export_runtime
from xtc_study.deploy.export.parity import OFF_BY, SAME_CLASS
from xtc_study.deploy.predict import predict_texts
from xtc_study.packed.engines.native_build import is_built
from xtc_study.places import Places
from xtc_study.recipe import Recipe
from xtc_study.tasks.catalogue import load_task
from xtc_study.tasks.metrics import score
from xtc_study.training import pipeline as pipeline_module
from xtc_study.training.pipeline import Pipeline

MAX_LENGTH = 12
"""Shorter than most rows, so that a model that reads more tokens gives other predictions."""
KINDS = {
    "toy-sentiment": "one text, two classes",
    "toy-paraphrase": "a pair, two classes",
    "toy-inference": "a pair, three classes",
    "toy-similarity": "a pair, a number",
}


class Shipped(NamedTuple):
    """A run's folder, and its task's dev split as metrics.json scored it."""

    folder: Path
    task: Any
    texts: list[tuple[str, ...]]
    labels: list[float]
    rows: list[dict[str, Any]]
    run: Any

    def check(self, logits: Any, within: float = 0.0) -> None:
        """Check that these logits give each of the scores in metrics.json."""
        logits = np.asarray(logits, dtype=np.float32)
        found = logits[:, 0] if self.task.is_regression else logits.argmax(-1)
        for row in self.rows:
            assert score(row["metric"], self.labels, found.astype(np.float64)) == pytest.approx(
                row["value"], abs=within
            )

    def check_singly(self, logits: Any) -> None:
        """Check the same for other batches, where sums may differ in the last bit and change ranks."""
        if not self.task.is_regression:
            return self.check(logits)
        exact = [answer["value"] for answer in predict_texts(self.folder, ["\t".join(text) for text in self.texts])]
        self.check(np.array(exact)[:, None])
        assert np.abs(np.asarray(logits)[:, 0] - exact).max() < 1e-5
        return None

    def columns(self) -> list[list[str]]:
        return [list(column) for column in zip(*self.texts, strict=True)]


@pytest.fixture(scope="module", params=KINDS, ids=lambda task: KINDS[task].replace(", ", "-").replace(" ", "_"))
def shipped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shipped:
    folder = tmp_path_factory.mktemp("promises")
    text = load_task(request.param)
    little = DatasetDict({split: rows.select(range(480 if split == "train" else 96)) for split, rows in text.items()})
    if request.param == "toy-similarity":  # a number that a short training learns: the first letter's
        little = little.map(lambda row: {"label": (ord(row["sentence1"][0]) - ord("M")) / 8})
    fields = {"batch_size": 16, "max_length": MAX_LENGTH, "epochs": 1, "weight_bits": 2}
    fields["teacher_epochs"] = 3 if request.param == "toy-similarity" else 1
    recipe = Recipe.of(task=request.param, teacher_learning_rate=2e-3, learning_rate=1e-3, **fields)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline_module, "load_task", lambda name, data_dir, files: little)
        pipeline = Pipeline(recipe, Places(folder))
    evaluation = measure(pipeline, pipeline.teacher(), pipeline.student(), folder / "model")
    task, dev = pipeline.task, little["dev"]
    texts = list(zip(*(dev[field] for field in task.text_fields), strict=True))
    run = SimpleNamespace(model=folder / "model", path=folder, metrics=evaluation.metrics, recipe=recipe)
    return Shipped(folder / "model", task, texts, list(dev["label"]), evaluation.metrics["rows"], run)


@pytest.mark.parametrize("engine", ["torch", "numba", "native"])
def test_predict_gives_the_score(shipped: Shipped, engine: str) -> None:
    if engine == "native" and not is_built():
        pytest.skip("the native engine is not built here")
    asked = "".join("\t".join(text) + "\n" for text in shipped.texts)
    done = CliRunner().invoke(app, ["predict", str(shipped.folder), "--engine", engine], input=asked)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    if shipped.task.is_regression:
        found = [[answer["value"]] for answer in lines]
    else:
        found = [[answer["label"] == label for label in shipped.task.labels] for answer in lines]
    shipped.check(found)


def test_from_pretrained_gives_the_score(shipped: Shipped) -> None:
    """As in the model card. One batch, because sums in other batches may differ in the last bit."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(shipped.folder)
    assert tokenizer.model_max_length == MAX_LENGTH
    model = AutoModelForSequenceClassification.from_pretrained(shipped.folder)
    inputs = tokenizer(*shipped.columns(), truncation=True, padding=True, return_tensors="pt")
    assert inputs["input_ids"].shape[1] == MAX_LENGTH, "the dev split has longer rows"
    with torch.inference_mode():
        shipped.check_singly(model(**inputs).logits)


def test_a_pipeline_gives_the_score(shipped: Shipped) -> None:
    from transformers import pipeline

    ask = pipeline("text-classification", str(shipped.folder))
    rows = [{"text": text[0], **({"text_pair": text[1]} if len(text) == 2 else {})} for text in shipped.texts]
    given = [ask(row) for row in rows]
    if shipped.task.is_regression:
        found = [[answer["score"]] for answer in given]
    else:
        found = [[answer["label"] == label for label in shipped.task.labels] for answer in given]
    shipped.check_singly(found)
    assert ask(" ".join(["good"] * 500)), "a text longer than the model has positions"


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_an_export_gives_the_score(
    shipped: Shipped, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime" if kind == "onnx" else "openvino", reason="pip install -e '.[export]'")
    from transformers import AutoConfig, AutoTokenizer

    path, agreement = export_runtime(shipped.run, tmp_path / "out", kind)
    assert not agreement.made_up and agreement.rows == 512
    folder = path.parent
    batch = AutoTokenizer.from_pretrained(folder)(
        *shipped.columns(), truncation=True, padding=True, return_tensors="np"
    )
    assert {"input_ids", "attention_mask", "token_type_ids"} == set(batch)
    exact = answered_by(shipped, batch)
    parts = [slice(0, 1), slice(1, 9), slice(9, None)]
    run = RUNTIMES[kind](path)
    logits = np.concatenate([run({name: array[part] for name, array in batch.items()}) for part in parts])
    if shipped.task.is_regression:
        assert np.sqrt(np.square(logits - exact).mean()) <= OFF_BY * exact.std()
        shipped.check(logits, within=OFF_BY)
    else:
        assert (logits.argmax(-1) == exact.argmax(-1)).mean() >= SAME_CLASS
        shipped.check(logits, within=2 * (1 - SAME_CLASS))

    config = json.loads((folder / "config.json").read_text())
    assert "quantization_config" not in config and "xtc_checksums" not in config
    assert AutoConfig.from_pretrained(folder).model_type == "bert"
    card = (folder / "README.md").read_text()
    assert all(f"`{name}`" in card for name in batch) and f"Cut texts to {MAX_LENGTH} tokens" in card
    monkeypatch.chdir(folder)
    exec(compile(card.split("```python\n")[1].split("```")[0], "README.md", "exec"), {})
    output = capsys.readouterr().out
    assert output and (shipped.task.is_regression or any(label in output for label in shipped.task.labels))


def answered_by(shipped: Shipped, batch: dict[str, Any]) -> Any:
    with torch.inference_mode():
        inputs = {name: torch.from_numpy(array) for name, array in batch.items()}
        return xtc_study.load(shipped.folder)(**inputs).logits.numpy()


def onnx_session(path: Path) -> Callable[[dict[str, Any]], Any]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda batch: session.run(None, dict(batch))[0]


def openvino_model(path: Path) -> Callable[[dict[str, Any]], Any]:
    import openvino

    model = openvino.Core().compile_model(str(path), "CPU")
    return lambda batch: model(dict(batch))[0]


RUNTIMES = {"onnx": onnx_session, "openvino": openvino_model}
