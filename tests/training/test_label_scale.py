"""A regression of any unit is trained like one from 0 to 1, and every stored model predicts in the unit."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from xtc_study.deploy.evaluate import Evaluation, measure
from xtc_study.deploy.predict import predict_texts
from xtc_study.model_source import ModelError
from xtc_study.places import Places
from xtc_study.recipe import Recipe
from xtc_study.tasks.catalogue import chosen_tasks, find_task, load_task
from xtc_study.tasks.generated.toy import load_toy
from xtc_study.training.label_scale import LabelScale
from xtc_study.training.pipeline import Pipeline

SENTENCES = load_toy("toy-sentiment")["train"].select(range(320))
NUMBERS = [(len(text.split()) - 6) / 16 for text in SENTENCES["sentence"]]
MONEY = 300_000


def pipeline(folder: Path, unit: float, least: float, **fields: Any) -> Pipeline:
    """The task of counting a sentence's words, in some unit."""
    folder.mkdir()
    rows = zip(SENTENCES["sentence"], NUMBERS, strict=True)
    (folder / "train.jsonl").write_text(
        "".join(json.dumps({"t": text, "y": least + unit * number}) + "\n" for text, number in rows)
    )
    (folder / "my.yml").write_text(
        "{name: n, files: {train: train.jsonl}, held_out: 0.2, text: t, label: y, kind: regression, "
        "metrics: [pearson, mae, rmse]}"
    )
    (task,), files = chosen_tasks([folder / "my.yml"])
    chosen = {"teacher_epochs": 4, "teacher_learning_rate": 2e-3, "reduce_epochs": 1, "epochs": 0.5, **fields}
    chosen |= {"reduce_learning_rate": 1e-3, "learning_rate": 1e-3, "weight_bits": 8}
    recipe = Recipe.of(task=task, layers=2, max_length=32, batch_size=16, **chosen)
    return Pipeline(recipe, Places(folder, task_files=tuple(files)))


def scores(evaluation: Evaluation) -> dict[str, tuple[float, float]]:
    return {row["metric"]: (row["value"], row["teacher_value"]) for row in evaluation.metrics["rows"]}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Pipeline, Evaluation, Path]]:
    """The same numbers from about 0 to 1, and in a unit of 300,000 from 100,000 on."""
    folder, found = tmp_path_factory.mktemp("scales"), {}
    for name, unit, least in (("plain", 1, 0), ("money", MONEY, 100_000)):
        made = pipeline(folder / name, unit, least)
        found[name] = (made, measure(made, made.teacher(), made.student(), folder / name / "model"), folder / name)
    return found


def test_large_labels_are_learned_as_well_as_small_ones(
    measured: dict[str, tuple[Pipeline, Evaluation, Path]],
) -> None:
    small, large = scores(measured["plain"][1]), scores(measured["money"][1])
    # Equal labels but for their last bit; low-bit students round in steps, so that a bit may grow.
    for who, near in ((1, 0.02), (0, 0.1)):
        assert small["pearson"][who] > 0.6, "otherwise the comparison proves nothing"
        assert large["pearson"][who] == pytest.approx(small["pearson"][who], abs=near)
        for error in ("mae", "rmse"):
            assert large[error][who] == pytest.approx(MONEY * small[error][who], rel=2 * near)
    rows = measured["money"][1].metrics["rows"]
    assert [row["higher_is_better"] for row in rows] == [True, False, False]
    assert [row["best_value"] is not None for row in rows] == [True, False, False], "errors are never chosen by"


def test_a_regression_fine_tuned_elsewhere_keeps_its_head(
    measured: dict[str, tuple[Pipeline, Evaluation, Path]], tmp_path: Path
) -> None:
    made, evaluation, folder = measured["money"]
    made.teacher().model.save_pretrained(tmp_path / "elsewhere")
    made.tokenizer.save_pretrained(tmp_path / "elsewhere")
    recipe = Recipe.of(**{**made.recipe.scientific(), "model": str(tmp_path / "elsewhere"), "teacher_epochs": 0})
    other = Pipeline(recipe, Places(tmp_path, task_files=(folder / "my.yml",)))
    found = other.scores(other.teacher().model)["dev"]
    assert found["rmse"] == pytest.approx(scores(evaluation)["rmse"][1], rel=1e-3), "in the unit of the labels"
    assert found["pearson"] == pytest.approx(scores(evaluation)["pearson"][1], abs=1e-4)


@pytest.mark.parametrize("field", ["model", "start"])
def test_a_head_of_unknown_unit_is_redrawn_with_a_warning(
    field: str, measured: dict[str, tuple[Pipeline, Evaluation, Path]], tmp_path: Path
) -> None:
    """A head of values from 0 to 5 would predict -1.9 for every row of a task with labels of 100,000 to 400,000."""
    made, _, folder = measured["money"]
    tuned = copy.deepcopy(made.teacher().model)
    with torch.no_grad():
        tuned.classifier.weight.fill_(1.0)
        tuned.classifier.bias.fill_(2.5)
    tuned.save_pretrained(tmp_path / "elsewhere")
    made.tokenizer.save_pretrained(tmp_path / "elsewhere")
    chosen = {**made.recipe.scientific(), field: str(tmp_path / "elsewhere")}
    if field == "start":
        chosen |= {"model": str(tmp_path / "elsewhere"), "teacher_epochs": 0}
    other = Pipeline(Recipe.of(**chosen), Places(tmp_path, task_files=(folder / "my.yml",)))
    with pytest.warns(
        UserWarning, match=rf"{field}='.*elsewhere': .*the unit of its values is not known; a new one is d"
    ):
        heads = [other.initial.loaded(field).classifier for _ in range(2)]
    assert torch.equal(heads[0].weight, heads[1].weight), "the seed draws it"
    assert heads[0].bias.tolist() == [0.0] and 0.02 < float(heads[0].weight.detach().std()) < 0.1, "the range is 0.05"
    assert "the unit of its values is not known" in other.initial.heads[field]
    if field == "start":  # the model of teacher_epochs=0 is used unchanged, in the unit of the labels
        used, scale = other.initial.loaded("model").classifier, other.label_scale
        assert used.weight.detach()[0].tolist() == pytest.approx([1 / scale.deviation] * 64)
        assert float(used.bias.detach()) == pytest.approx((2.5 - scale.mean) / scale.deviation)


def test_the_packed_file_predicts_in_the_unit_of_the_labels(
    measured: dict[str, tuple[Pipeline, Evaluation, Path]],
) -> None:
    _, evaluation, folder = measured["money"]
    labels, predictions = evaluation.predictions["label"], evaluation.predictions["prediction"]
    assert labels.min() > 50_000 and labels.max() > 300_000
    assert float((labels - predictions).mean()) == pytest.approx(0, abs=0.2 * MONEY)
    text = load_task(measured["money"][0].task.name, None, [folder / "my.yml"])["dev"]["sentence"][:4]
    predicted = [answer["value"] for answer in predict_texts(folder / "model", text)]
    assert predicted == pytest.approx(predictions[:4].tolist(), rel=1e-4)


def test_steps_and_file_record_the_constants(
    measured: dict[str, tuple[Pipeline, Evaluation, Path]],
) -> None:
    made, evaluation, folder = measured["money"]
    labels = np.array(made.text["train"]["label"][:], dtype=np.float64)
    constants = {"xtc_label_mean": labels.mean(), "xtc_label_deviation": labels.std()}
    config = json.loads((folder / "model" / "config.json").read_text())
    assert {field: config[field] for field in constants} == pytest.approx(constants)
    for address in evaluation.metrics["steps"]:
        record = made.store.record(address)
        assert {field: record[field] for field in constants} == pytest.approx(constants)


def test_generated_and_glue_regressions_are_not_scaled() -> None:
    for name in ("toy-similarity", "stsb"):
        assert LabelScale.of(find_task(name), load_toy("toy-similarity")["train"]).is_plain
    plain = LabelScale()
    assert plain.standard([1.5, 400_000.0]) == [1.5, 400_000.0] and plain.record() == {}


def test_folding_by_hand(tiny: Callable[..., Any], batch: Callable[..., Any], family: str) -> None:
    scale, model, inputs = LabelScale(250_000.0, 80_000.0), tiny(family, labels=1), batch(family)
    with torch.no_grad():
        before = model(**inputs).logits.double()
        whole = copy.deepcopy(model.state_dict())
        scale.fold(model)
        after = model(**inputs).logits.double()
        assert after == pytest.approx(before * 80_000 + 250_000, rel=1e-6)
        stored = copy.deepcopy(model.state_dict())
        with scale.unfolded(model):
            assert model(**inputs).logits == pytest.approx(before, abs=1e-5)
    assert all(torch.equal(tensor, stored[name]) for name, tensor in model.state_dict().items()), "to the last bit"
    assert sum(not torch.equal(tensor, whole[name]) for name, tensor in stored.items()) == 2, "weight and bias"


def test_float64_is_computed_on_the_cpu_alone(tiny: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulates MPS, which has no float64: a tensor must be moved to the CPU before it is converted to double."""
    scale, model, real = LabelScale(250_000.0, 80_000.0), tiny(labels=1), torch.Tensor.double
    weight, moved = model.classifier.weight.detach().clone(), set()

    def cpu(tensor: torch.Tensor) -> torch.Tensor:
        there = tensor.detach().clone()
        moved.add(there.data_ptr())
        return there

    def double(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in moved:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return real(tensor)

    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "cpu", cpu)
        patch.setattr(torch.Tensor, "double", double)
        scale.fold(model)
        with scale.unfolded(model):
            pass
    assert torch.equal(model.classifier.weight, (weight.double() * 80_000).float())


@pytest.mark.parametrize("sign", [1, -1])
def test_labels_that_float32_cannot_distinguish_are_an_error(
    sign: int, tiny: Callable[..., Any], tmp_path: Path
) -> None:
    message = (
        r"a mean of -?1700000000 and a deviation of 30 cannot be learned: .* 128 apart; subtract a constant from all "
        r"labels, for example -?1700000000$"
    )
    with pytest.raises(ModelError, match=message):
        LabelScale(sign * 1.7e9, 30.0).check("m", tiny(labels=1), "fp32")
    LabelScale(sign * 0.99e5 * 30, 30.0).check("m", tiny(labels=1), "fp32")
    with pytest.raises(ModelError, match="subtract a constant"):
        LabelScale(sign * 1.01e5 * 30, 30.0).check("m", tiny(labels=1), "fp32")
    with pytest.raises(ModelError, match="subtract a constant"):
        pipeline(tmp_path / "seconds", 30, sign * 1.7e9)
    assert not (tmp_path / "seconds" / "steps").exists()


def test_labels_that_half_precision_cannot_store_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"rest='fp16': .* labels with a deviation of 52405.*; use rest='8bit'"):
        pipeline(tmp_path / "money", MONEY, 0, rest="fp16")
    assert pipeline(tmp_path / "plain", 1, 0, rest="fp16").label_scale.deviation < 1
