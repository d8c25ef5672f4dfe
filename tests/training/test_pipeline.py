"""A recipe trained on a small generated task: chain, reuse of steps, checks before training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import DatasetDict

from xtc_study.compress.quantization.layers import LowBitLinear
from xtc_study.model_source import ModelError
from xtc_study.places import Places
from xtc_study.recipe import Recipe
from xtc_study.runs.step_store import DamagedStepError
from xtc_study.tasks.catalogue import load_task
from xtc_study.tasks.task import DataError
from xtc_study.training import pipeline as module
from xtc_study.training.pipeline import Pipeline
from xtc_study.training.pretrained import load_encoder, load_tokenizer

QUICK = {"batch_size": 16, "max_length": 32, "teacher_epochs": 1, "reduce_epochs": 1, "epochs": 1}


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every task has 64 training and 48 dev examples."""

    def load(name: str, data_dir: Path | None = None, files: Sequence[Path] = ()) -> DatasetDict:
        text = load_task(name, data_dir, files)
        return DatasetDict({split: rows.select(range(64 if split == "train" else 48)) for split, rows in text.items()})

    monkeypatch.setattr(module, "load_task", load)


def recipe(**fields: Any) -> Recipe:
    return Recipe.of(**{"task": "toy-sentiment", **QUICK, **fields})


@pytest.mark.usefixtures("little")
def test_a_shallow_one_bit_student_is_trained_step_by_step_and_reuses_steps(tmp_path: Path) -> None:
    pipeline = Pipeline(recipe(layers=2, stages=2), Places(tmp_path))
    assert [step.title for step in pipeline.steps] == ["teacher", "reduce", "quantise 1/2", "quantise 2/2"]
    teacher, student = pipeline.teacher(), pipeline.student()
    assert student.reused == 0 and student.seconds > 0
    assert teacher.model.config.num_hidden_layers == 4 and student.model.config.num_hidden_layers == 2
    linears = [part for part in student.model.modules() if isinstance(part, LowBitLinear)]
    assert len(linears) == 2 * 6 + 1 and {part.weight_format.bits for part in linears} == {1}
    assert {(point["phase"], point["stage"]) for point in student.curve} == {
        ("reduce", 1),
        ("quantise", 1),
        ("quantise", 2),
    }
    again = Pipeline(recipe(layers=2, stages=2), Places(tmp_path)).student()
    assert again.reused == 3 and again.seconds == student.seconds
    state = student.model.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in again.model.state_dict().items())
    other = Pipeline(recipe(layers=2, stages=1, weight_bits=2), Places(tmp_path))
    assert other.teacher().reused == 1 and other.student().reused == 1  # teacher and reduction are shared


@pytest.mark.usefixtures("little")
@pytest.mark.parametrize(
    ("fields", "phases"),
    [
        ({"weight_bits": 32, "activation_bits": 32}, ["distil"]),
        ({"weight_bits": 32, "activation_bits": 32, "layers": 2}, ["reduce"]),
        ({"layers": [1, 3], "order": "together"}, ["quantise"]),
        ({"layers": 2, "start": "pretrained", "stages": 0}, ["reduce", "quantise"]),
        ({"task": "toy-similarity"}, ["quantise"]),
        ({"task": "toy-similarity", "ffn": "1/4", "layers": 2, "weight_bits": 2}, ["reduce", "quantise"]),
        ({"teacher_layers": [1, 3], "layers": [1], "start": "pretrained"}, ["reduce", "quantise"]),
        ({"ffn": "1/3", "ffn_by": "magnitude", "start": "pretrained", "order": "together"}, ["quantise"]),
    ],
    ids=[
        *("plain distillation", "reduction alone", "in one go", "from pre-trained layers", "regression"),
        *("narrow and shallow", "of a shallow teacher", "narrow in one go"),
    ],
)
def test_the_phases_of_other_chains(fields: dict[str, Any], phases: list[str], tmp_path: Path) -> None:
    pipeline = Pipeline(recipe(**fields), Places(tmp_path))
    student = pipeline.student()
    assert [step.phase for step in pipeline.steps] == ["teacher", *phases]
    width = {None: 256, "1/4": 64, "1/3": 85}[pipeline.recipe.ffn]
    assert student.model.config.intermediate_size == width
    scores = pipeline.scores(student.model)["dev"]
    assert set(scores) == set(pipeline.task.metrics) and all(-1 <= value <= 1 for value in scores.values())


@pytest.mark.usefixtures("little")
def test_other_starts_follow_the_reduction_and_share_it(tmp_path: Path) -> None:
    plain = Pipeline(recipe(layers=2), Places(tmp_path))
    teacher = plain.teacher().model
    other = Pipeline(recipe(layers=2, weight_start="least-squares", word_start="static"), Places(tmp_path))
    plain.student()
    models = [pipeline.initial.of(pipeline.steps[-1], teacher) for pipeline in (plain, other)]
    before, after = (model.state_dict() for model in models)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert len(changed) == 2 * 6 + 2 and "bert.embeddings.word_embeddings.weight" in changed
    trained = other.student()
    assert trained.reused == 1
    assert not torch.equal(
        trained.model.get_input_embeddings().weight, after["bert.embeddings.word_embeddings.weight"]
    )


@pytest.mark.usefixtures("little")
def test_a_shallow_teacher_is_cut_before_training(tmp_path: Path) -> None:
    pipeline = Pipeline(
        recipe(teacher_layers="1/2", teacher_epochs=0.01, warmup=0.9, start="pretrained"), Places(tmp_path)
    )
    teacher, whole = pipeline.teacher().model, load_encoder("builtin:tiny", pipeline.task, 0)
    assert teacher.config.num_hidden_layers == 2 and pipeline.depth == 2
    for mine, theirs in ((0, 1), (1, 3)):  # one step at a rate of almost nothing: still recognisable
        layer, other = teacher.bert.encoder.layer[mine], whole.bert.encoder.layer[theirs]
        assert torch.allclose(layer.output.dense.weight, other.output.dense.weight, atol=1e-3)
    assert pipeline.student().model.config.num_hidden_layers == 2


@pytest.mark.usefixtures("little")
def test_a_student_can_start_from_another_local_checkpoint(tmp_path: Path) -> None:
    task = module.find_task("toy-sentiment")
    for name, seed in (("first", 1), ("second", 2)):
        load_encoder("builtin:tiny", task, seed).save_pretrained(tmp_path / "models" / name)
        load_tokenizer("builtin:tiny").save_pretrained(tmp_path / "models" / name)
    places = Places(tmp_path, models_dir=tmp_path / "models")
    student = Pipeline(recipe(model="first", start="second", layers=3), places).student()
    assert student.model.config.num_hidden_layers == 3


@pytest.mark.usefixtures("little")
def test_steps_of_another_model_at_the_same_path_are_an_error(tmp_path: Path) -> None:
    def put(name: str, seed: int) -> None:
        model = load_encoder("builtin:tiny", module.find_task("toy-sentiment"), seed)
        model.save_pretrained(tmp_path / "models" / name)
        load_tokenizer("builtin:tiny").save_pretrained(tmp_path / "models" / name)

    put("first", 1)
    put("second", 2)
    places = Places(tmp_path, models_dir=tmp_path / "models")
    short = {"model": "first", "teacher_epochs": 0.01}
    chosen = recipe(**short, start="second", epochs=0.01, stages=0)
    Pipeline(chosen, places).student()
    assert Pipeline(chosen, places).student().reused == 1

    put("second", 3)
    with pytest.raises(ModelError, match=r"start='second': the folder's config, tokenizer or weights are .*quantise-"):
        Pipeline(chosen, places)
    assert Pipeline(recipe(**short), places).teacher().reused == 1, "its teacher is the same"
    put("second", 2)
    put("first", 3)
    with pytest.raises(ModelError, match=r"model='first': .*teacher-.*use another folder or results folder"):
        Pipeline(chosen, places)

    for path in (tmp_path / "steps").glob("*/step.json"):
        record = json.loads(path.read_text())
        assert set(record.pop("model_files")) == ({"model"} if record["phase"] == "teacher" else {"model", "start"})
        path.write_text(json.dumps(record))
    assert Pipeline(chosen, places).student().reused == 1, "older steps have no hash"


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"task": "nope"}, ValueError, "task='nope': unknown"),
        ({"layers": 5}, ValueError, "layers=5: expected 1 to 4, the teacher's depth"),
        ({"teacher_layers": 5}, ValueError, "teacher_layers=5: expected 1 to 4, the encoder's depth"),
        ({"teacher_layers": 2, "layers": 3}, ValueError, "layers=3: expected 1 to 2, the teacher's depth"),
        ({"layers": [0, 4]}, ValueError, r"layers=\[0, 4\]: \[4\] outside the teacher's layers 0 to 3"),
        ({"task": "cola"}, DataError, "cola.*--data-dir"),
        ({"model": "builtin:huge"}, ModelError, "the only built-in encoder is 'builtin:tiny'"),
        ({"model": "./nowhere"}, ModelError, "no such folder"),
        ({"model": "nobody/nothing"}, ModelError, "not found locally or on the hub"),
        ({"start": "./nowhere"}, ModelError, "no such folder"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_errors_are_found_before_anything_is_trained_or_written(
    fields: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        Pipeline(recipe(**fields), Places(tmp_path))
    assert not (tmp_path / "steps").exists()


def test_a_model_folder_without_weights_is_an_error(tmp_path: Path) -> None:
    load_encoder("builtin:tiny", module.find_task("toy-sentiment"), 0).config.save_pretrained(tmp_path / "empty")
    (tmp_path / "empty" / "pytorch_model.bin").write_bytes(b"pickled")
    with pytest.raises(ModelError, match=r"has no weights \(\*\.safetensors\)"):
        Pipeline(recipe(model=str(tmp_path / "empty")), Places(tmp_path))


@pytest.mark.usefixtures("little")
def test_a_start_of_another_shape_is_an_error(tmp_path: Path) -> None:
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=99, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64
    )
    BertForSequenceClassification(config).save_pretrained(tmp_path / "other")
    with pytest.raises(ModelError, match="its hidden_size is 32, the teacher's is 64"):
        Pipeline(recipe(layers=2, start=str(tmp_path / "other")), Places(tmp_path))
    assert not (tmp_path / "steps").exists()


@pytest.mark.usefixtures("little")
@pytest.mark.parametrize("family", ["roberta", "distilbert"])
def test_other_encoder_families_are_trained_from_a_local_folder(family: str, tmp_path: Path) -> None:
    import transformers

    tokenizer = load_tokenizer("builtin:tiny")
    tokenizer.model_input_names = ["input_ids", "attention_mask"]  # these families know no segments
    tokenizer.save_pretrained(tmp_path / family)
    common = {"vocab_size": len(tokenizer), "max_position_embeddings": 64, "pad_token_id": 0}
    if family == "roberta":
        shape = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 64}
        model: Any = transformers.RobertaForSequenceClassification(transformers.RobertaConfig(**common, **shape))
    else:
        shape = {"dim": 32, "n_layers": 4, "n_heads": 4, "hidden_dim": 64}
        model = transformers.DistilBertForSequenceClassification(transformers.DistilBertConfig(**common, **shape))
    model.save_pretrained(tmp_path / family)
    pipeline = Pipeline(recipe(task="toy-inference", model=str(tmp_path / family), layers=2), Places(tmp_path))
    student = pipeline.student()
    assert [step.phase for step in pipeline.steps] == ["teacher", "reduce", "quantise"]
    assert type(student.model) is type(model) and student.model.config.num_hidden_layers == 2
    assert {part.weight_format.bits for part in student.model.modules() if isinstance(part, LowBitLinear)} == {1}
    assert {point["term"] for point in student.curve} >= {"attention", "hidden", "logits"}


@pytest.mark.usefixtures("little")
@pytest.mark.parametrize(
    ("file", "content"), [("model.safetensors", b"half"), ("step.json", b"{"), ("step.json", b"")], ids=str
)
def test_a_damaged_step_is_trained_again(file: str, content: bytes, tmp_path: Path) -> None:
    first = Pipeline(recipe(), Places(tmp_path)).teacher()
    path = tmp_path / "steps" / first.step.address / file
    path.write_bytes(content)
    if file == "model.safetensors":
        with pytest.raises(DamagedStepError, match=r"teacher.* is damaged; the next run will rebuild it"):
            Pipeline(recipe(), Places(tmp_path)).teacher()
    again = Pipeline(recipe(), Places(tmp_path)).teacher()
    assert again.reused == 0
    state = first.model.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in again.model.state_dict().items())


@pytest.mark.usefixtures("little")
def test_a_damaged_file_invalidates_its_step(tmp_path: Path) -> None:
    pipeline = Pipeline(recipe(), Places(tmp_path))
    folder = tmp_path / "steps" / pipeline.teacher().step.address
    whole = {file: file.read_bytes() for file in folder.iterdir()}
    for file, content in [
        *(("config.json", b"{"), ("config.json", b'{"model_type": "bert", "hidden_size": "x"}')),
        *(("curve.json", b"[{"), ("curve.json", b"[3]"), ("step.json", b"{}")),
    ]:
        (folder / file).write_bytes(content)
        with pytest.raises(DamagedStepError, match=r"teacher.* is damaged; the next run will rebuild it"):
            pipeline.teacher()
        assert not pipeline.store.is_done(folder.name)
        for path, before in whole.items():
            path.write_bytes(before)
    assert pipeline.teacher().reused == 1


@pytest.mark.usefixtures("little")
def test_a_checkpoint_with_damaged_weights_fails_once_and_is_removed(tmp_path: Path) -> None:
    pipeline = Pipeline(recipe(), Places(tmp_path))
    checkpoint = pipeline.store.checkpoints(pipeline.steps[0].address) / "checkpoint-2"
    checkpoint.mkdir(parents=True)
    (checkpoint / "so_far.json").write_text('{"curve": [], "seconds": 1.0}')
    (checkpoint / "trainer_state.json").write_text("{")
    (checkpoint / "model.safetensors").write_bytes(b"half")
    with pytest.raises(Exception, match=r"(?i)header|safetensors|json|expecting"):
        pipeline.teacher()
    assert not checkpoint.exists()
    assert Pipeline(recipe(), Places(tmp_path)).teacher().reused == 0
