"""One training: its loss terms, its length, its checkpoints, and the error of a diverging loss."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from xtc_study import atomic
from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.model_source import BUILTIN_CONFIG
from xtc_study.recipe import Recipe
from xtc_study.tasks.batches import Padding, tokenize
from xtc_study.tasks.catalogue import find_task, load_task
from xtc_study.tasks.generated.vocabulary import toy_tokenizer
from xtc_study.training import checkpoints, stage
from xtc_study.training import schedule as schedules
from xtc_study.training.objective import Comparison, Objective
from xtc_study.training.precision import Precision
from xtc_study.training.pretrained import load_encoder
from xtc_study.training.schedule import Schedule, arguments_of
from xtc_study.training.stage import train

TASK = find_task("toy-sentiment")
CPU = Precision("cpu", "fp32")
PADDING = Padding(toy_tokenizer(), TASK)
LEARNED = {"weight_bits": 2, "two_bit_levels": "odd", "granularity": "row", "weight_scale": "learned"}
LAYERS = tuple(range(BUILTIN_CONFIG["num_hidden_layers"]))


@pytest.fixture(scope="module")
def rows() -> Any:
    return tokenize(load_task(TASK.name)["train"].select(range(64)), TASK, toy_tokenizer(), 32)


def schedule(steps: int = 6, learning_rate: float = 1e-3, **beyond: Any) -> Schedule:
    return Schedule(steps, 16, learning_rate, warmup=0.0, weight_decay=0.01, seed=0, **beyond)


def encoder(seed: int) -> Any:
    return load_encoder("builtin:tiny", TASK, seed)


def fit(model: Any, rows: Any, objective: Objective, folder: Path, **changed: Any) -> list[dict[str, Any]]:
    return train(model, rows, PADDING, objective, schedule(**changed), CPU, folder, lambda student: 0.5).curve


@pytest.mark.parametrize(
    "terms", [("labels",), ("attention", "hidden"), ("attention", "hidden", "logits"), ("logits",)], ids="+".join
)
def test_every_set_of_terms_trains_the_scheduled_steps(terms: tuple[str, ...], rows: Any, tmp_path: Path) -> None:
    student, teacher = encoder(0), encoder(1)
    before = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    frozen = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    objective = Objective(terms, None if terms == ("labels",) else teacher, LAYERS)
    curve = fit(student, rows, objective, tmp_path)
    assert {point["term"] for point in curve} == {*terms, "learning rate", "dev score"}
    assert max(point["step"] for point in curve) == 6
    assert any(not torch.equal(tensor, before[name]) for name, tensor in student.state_dict().items())
    assert all(torch.equal(tensor, frozen[name]) for name, tensor in teacher.state_dict().items())
    assert student.config._attn_implementation != "xtc_scores"


def test_distillation_brings_the_student_closer(rows: Any, tmp_path: Path) -> None:
    curve = fit(encoder(0), rows, Objective(("attention", "hidden", "logits"), encoder(1), LAYERS), tmp_path, steps=40)
    hidden = [point["value"] for point in curve if point["term"] == "hidden"]
    assert hidden[-1] < 0.5 * hidden[0]


def test_distillation_losses_are_zero_for_a_student_equal_to_its_teacher(rows: Any, tmp_path: Path) -> None:
    objective = Objective(("attention", "hidden"), encoder(0), LAYERS)
    curve = fit(encoder(0), rows, objective, tmp_path, steps=1)
    assert [point["value"] for point in curve if point["term"] in objective.terms] == [0.0, 0.0]


def test_the_curve_holds_each_term_without_its_weight(rows: Any, tmp_path: Path) -> None:
    found = []
    for comparison in (Comparison("maps", label_weight=1), Comparison("maps", None, 4, 0.5, 2)):
        objective = Objective(("attention", "hidden", "logits", "labels"), encoder(1), LAYERS, comparison=comparison)
        curve = fit(encoder(0), rows, objective, tmp_path, steps=1)
        found.append({point["term"]: point["value"] for point in curve})
    assert set(found[0]) >= {"attention", "attention output", "hidden", "logits", "labels"}
    assert found[0] == found[1], "the first step's losses, before a weight could matter"


def test_the_same_seed_gives_the_same_student(rows: Any, tmp_path: Path) -> None:
    first, second = encoder(0), encoder(0)
    for model in (first, second):
        fit(model, rows, Objective(("labels",)), tmp_path)
    assert all(torch.equal(tensor, second.state_dict()[name]) for name, tensor in first.state_dict().items())


def test_a_loss_that_is_not_finite_is_an_error(rows: Any, tmp_path: Path) -> None:
    model = encoder(0)
    with torch.no_grad():
        model.classifier.weight.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="the labels loss is nan at step 1: lower the learning rate"):
        fit(model, rows, Objective(("labels",)), tmp_path)


def test_scales_are_learned_without_weight_decay(rows: Any, tmp_path: Path) -> None:
    """A rate of almost 0 leaves only a decay that is larger by its reciprocal."""
    model = encoder(0)
    make_low_bit(model, Recipe.of(task=TASK.name, weight_scale="learned"))
    scale = model.bert.encoder.layer[0].output.dense.weight_scale
    before, weight = scale.clone(), model.bert.encoder.layer[0].output.dense.weight.clone()
    decaying = Schedule(2, 16, 1e-9, warmup=0.0, weight_decay=1e8, seed=0)
    train(model, rows, PADDING, Objective(("labels",)), decaying, CPU, tmp_path / "decay", lambda student: 0.5)
    assert model.bert.encoder.layer[0].output.dense.weight.norm() < 0.95 * weight.norm()
    torch.testing.assert_close(scale, before, rtol=1e-5, atol=0)

    fit(model, rows, Objective(("labels",)), tmp_path / "learn")
    assert (scale - before).abs().min() > 1e-4, "and they are learned"


def nomic() -> Any:
    """A family whose published checkpoints have other tensor names than the model."""
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.AutoConfig.for_model("nomic_bert", vocab_size=len(toy_tokenizer()), pad_token_id=0, **shape)
    torch.manual_seed(0)
    return transformers.AutoModelForSequenceClassification.from_config(config)


BEYOND = {"warmdown": 0.5, "muon_learning_rate": 1e-3, "averaging": 0.9, "progressive": 0.75}


@pytest.mark.parametrize(
    ("low_bit", "start", "beyond"),
    [
        (None, lambda: encoder(0), {}),
        ({}, lambda: encoder(0), {}),
        (None, nomic, {}),
        ({}, lambda: encoder(0), BEYOND),
        (LEARNED, lambda: encoder(0), BEYOND),
    ],
    ids=[
        *("teacher", "1-bit student", "names of its own", "beyond XTC, cut off at 2 bits"),
        "learned scales after 32 bits",
    ],
)  # fmt: skip
def test_interrupted_training_resumes_bit_for_bit(
    low_bit: dict[str, Any] | None,
    start: Callable[[], Any],
    beyond: dict[str, float],
    rows: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Twelve steps over three epochs, with dropout; cut off after step 8, in the middle of an epoch and one step after
    the last checkpoint, which lies between two points of the curve."""

    def model() -> Any:
        made = start()
        for part in made.modules():
            if isinstance(part, torch.nn.Dropout):
                part.p = 0.1
        if low_bit is not None:
            make_low_bit(made, Recipe.of(task=TASK.name, **low_bit))
        return made

    monkeypatch.setattr(stage, "STEPS_BETWEEN_EVALUATIONS", 1)  # five of them
    monkeypatch.setattr(schedules, "CURVE_POINTS", 4)  # each of three steps
    student = low_bit is not None
    terms = ("attention", "hidden", "logits") if student else ("labels",)
    objective = Objective(terms, encoder(1) if student else None, LAYERS if student else ())
    whole = model()
    torch.manual_seed(0)
    curve = fit(whole, rows, objective, tmp_path / "whole", steps=12, **beyond)

    monkeypatch.setattr(checkpoints, "CHECKPOINT_SECONDS", 0.0)
    calls = []

    def cut_off(student: Any) -> float:
        calls.append(student)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return 0.5

    torch.manual_seed(0)
    with pytest.raises(KeyboardInterrupt):
        train(model(), rows, PADDING, objective, schedule(12, **beyond), CPU, tmp_path / "cut", cut_off)
    assert [path.name for path in (tmp_path / "cut").iterdir()] == ["checkpoint-7"]
    checkpoint = tmp_path / "cut" / "checkpoint-7" / "so_far.json"
    checkpoint.write_text(json.dumps({**json.loads(checkpoint.read_text()), "seconds": 1000.0}))
    resumed = model()
    torch.manual_seed(99)  # what the new process draws before must not matter
    again, seconds = train(
        resumed, rows, PADDING, objective, schedule(12, **beyond), CPU, tmp_path / "cut", lambda student: 0.5
    )
    assert 1000 < seconds < 1500, "what was spent before counts"
    state = whole.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in resumed.state_dict().items())
    assert again == curve


def test_the_last_dev_score_is_that_of_the_averaged_student(rows: Any, tmp_path: Path) -> None:
    """Scored, returned and saved are the averages of the raw weights of steps 1 to 3: those of a plain training."""
    raw: list[dict[str, torch.Tensor]] = []

    def copied(student: Any) -> float:
        raw.append({name: tensor.clone() for name, tensor in student.state_dict().items()})
        return 0.5

    def trained(folder: str, **beyond: Any) -> Any:
        student = encoder(0)
        train(student, rows, PADDING, Objective(("labels",)), schedule(3, **beyond), CPU, tmp_path / folder, copied)
        return student

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "STEPS_BETWEEN_EVALUATIONS", 1)
        trained("plain")
        plain = list(raw)
        raw.clear()
        averaged = trained("averaged", averaging=0.75)
    for name, tensor in averaged.state_dict().items():
        expected = 9 / 16 * plain[0][name] + 3 / 16 * plain[1][name] + 1 / 4 * plain[2][name]
        torch.testing.assert_close(tensor, expected, rtol=1e-5, atol=1e-7)
        assert torch.equal(tensor, raw[2][name])
        assert torch.equal(plain[1][name], raw[1][name]), "before the last step the raw weights are scored"


def test_muon_and_adamw_have_one_rate_in_the_curve(rows: Any, tmp_path: Path) -> None:
    beyond = {"warmdown": 0.5, "muon_learning_rate": 0.1}
    curve = fit(encoder(0), rows, Objective(("labels",)), tmp_path, steps=4, **beyond)
    rates = [point["value"] for point in curve if point["term"] == "learning rate"]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-3, 5e-4])


def test_progressive_steps_learn_at_the_bits_of_the_moment(rows: Any, tmp_path: Path) -> None:
    """The first loss is that of a student with 32-bit weights, the last that of one bit; the result has one bit."""

    def student(**fields: Any) -> Any:
        made = encoder(0)
        make_low_bit(made, Recipe.of(task=TASK.name, **fields))
        return made

    def losses(model: Any, folder: str, **beyond: Any) -> list[float]:
        objective = Objective(("logits",), encoder(1), LAYERS)
        curve = fit(model, rows, objective, tmp_path / folder, steps=6, **beyond)
        return [point["value"] for point in curve if point["term"] == "logits"]

    progressive = student()
    seen = losses(progressive, "progressive", progressive=0.67)
    full, binary = losses(student(weight_bits=32), "full"), losses(student(), "binary")
    assert seen[:2] == full[:2]
    assert seen[2] != full[2]
    assert seen[0] != binary[0]
    assert {module.weight_format.bits for module in progressive.modules() if hasattr(module, "weight_format")} == {1}


def test_killed_save_keeps_the_previous_checkpoint(rows: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "CHECKPOINT_SECONDS", 0.0)
    replace = os.replace
    saved: list[int] = []

    def killed(partial: Path, target: Path) -> None:
        if tmp_path in Path(target).parents:  # a heartbeat of another test's lease may write too
            saved.append(1)
            if len(saved) == 3:
                raise KeyboardInterrupt
        replace(partial, target)

    monkeypatch.setattr(atomic, "os", SimpleNamespace(replace=killed))
    with pytest.raises(KeyboardInterrupt):
        fit(encoder(0), rows, Objective(("labels",)), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-2", "checkpoint-3"]
    last = checkpoints.last_checkpoint(tmp_path)
    assert last.path == str(tmp_path / "checkpoint-2") and last.history.seconds > 0
    so_far = tmp_path / "checkpoint-2" / "so_far.json"
    so_far.write_text('{"curve": [], "seconds": 2.0}')  # of an earlier version
    assert checkpoints.last_checkpoint(tmp_path) == (last.path, checkpoints.History([], 2.0), {}, 0)


def test_a_training_uses_only_one_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    arguments = arguments_of(schedule(), Precision("cuda", "fp32"), tmp_path)
    assert (arguments.n_gpu, arguments.train_batch_size) == (1, 16)
    assert arguments_of(schedule(), CPU, tmp_path).n_gpu == 0


@pytest.mark.parametrize(("steps", "at"), [(7, [7]), (204, [102, 204]), (2000, [400, 800, 1200, 1600, 2000])])
def test_the_dev_split_is_scored_at_even_intervals(steps: int, at: list[int]) -> None:
    trainer = SimpleNamespace(args=SimpleNamespace(max_steps=steps))
    assert sorted(stage._DevScore(trainer, lambda student: 0.5).at) == at  # type: ignore[arg-type]


@pytest.mark.parametrize("so_far", [None, b"[{", b'{"curve": []}'], ids=["cut off before its end", "damaged", "other"])
def test_incomplete_checkpoint_is_not_used(so_far: bytes | None, rows: Any, tmp_path: Path) -> None:
    whole, again = encoder(0), encoder(0)
    fit(whole, rows, Objective(("labels",)), tmp_path / "whole")
    (tmp_path / "cut" / "checkpoint-3").mkdir(parents=True)
    (tmp_path / "cut" / "checkpoint-3" / "model.safetensors").write_bytes(b"half")
    if so_far is not None:
        (tmp_path / "cut" / "checkpoint-3" / "so_far.json").write_bytes(so_far)
    fit(again, rows, Objective(("labels",)), tmp_path / "cut")
    assert all(torch.equal(tensor, whole.state_dict()[name]) for name, tensor in again.state_dict().items())


def test_resume_refuses_a_checkpoint_that_lacks_tensors(
    rows: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "CHECKPOINT_SECONDS", 0.0)
    fit(encoder(0), rows, Objective(("labels",)), tmp_path)
    (file,) = tmp_path.glob("*/model.safetensors")
    tensors = load_file(file)
    del tensors["classifier.bias"]
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(RuntimeError, match=r"a checkpoint lacks 1 tensors \(classifier\.bias"):
        fit(encoder(0), rows, Objective(("labels",)), tmp_path)
