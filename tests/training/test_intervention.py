"""Teacher intervention: when the teacher stands in, for what, and that trainings with it resume bit for bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xtc_study.compress.distillation.attention_tape import AttentionTape
from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.compress.reduction.layers import reduced
from xtc_study.recipe import Recipe
from xtc_study.tasks.batches import Padding, tokenize
from xtc_study.tasks.catalogue import find_task, load_task
from xtc_study.tasks.generated.vocabulary import toy_tokenizer
from xtc_study.training import checkpoints, stage
from xtc_study.training.intervention import MAP, OUTPUT, Intervention
from xtc_study.training.objective import Comparison, Objective
from xtc_study.training.precision import Precision
from xtc_study.training.pretrained import load_encoder
from xtc_study.training.schedule import Schedule
from xtc_study.training.stage import train

TASK = find_task("toy-sentiment")
CPU = Precision("cpu", "fp32")
PADDING = Padding(toy_tokenizer(), TASK)
LAYERS = (1, 3)
EVERY = ("attention", "hidden", "logits")


def test_a_schedule_by_hand() -> None:
    """A third of 21 steps: 3 with the teacher's map, then 4 with its output at 1, 3/4, 2/4, 1/4, and then none."""
    intervention = Intervention(1 / 3, 21, "cpu")
    found: list[Any] = []
    for step in range(21):
        standing = intervention.at(step)
        found.append(None if standing is None else (standing.mode, float(standing.share)))
    assert found == [
        *[(MAP, 1.0)] * 3,
        *[(OUTPUT, share) for share in (1.0, 0.75, 0.5, 0.25)],
        *[None] * 14,
    ]


def test_the_share_stays_in_one_tensor_which_a_graph_reads() -> None:
    intervention = Intervention(0.5, 8, "cpu")
    shares = [standing.share for step in range(4) if (standing := intervention.at(step)) is not None]
    assert len(shares) == 4 and len({share.data_ptr() for share in shares}) == 1


@given(part=st.floats(0, 1), steps=st.integers(1, 200))
def test_it_follows_from_the_step_alone(part: float, steps: int) -> None:
    forward, other = Intervention(part, steps, "cpu"), Intervention(part, steps, "cpu")

    def seen(intervention: Intervention, step: int) -> Any:
        standing = intervention.at(step)
        return standing if standing is None else (standing.mode, float(standing.share))

    there = [seen(forward, step) for step in range(steps)]
    back = [seen(other, step) for step in reversed(range(steps))]
    outputs = [one[1] for one in there if one is not None and one[0] == OUTPUT]
    assert [one if one is None or one[0] == OUTPUT else MAP for one in there] == [
        one if one is None or one[0] == OUTPUT else MAP for one in reversed(back)
    ]
    assert sum(one is not None for one in there) == round(part * steps)
    assert outputs == sorted(outputs, reverse=True) and (not outputs or outputs[0] == 1.0)


@pytest.fixture(scope="module")
def rows() -> Any:
    return tokenize(load_task(TASK.name)["train"].select(range(40)), TASK, toy_tokenizer(), 32)


def student(quantise_attention: bool = False) -> Any:
    model = reduced(load_encoder("builtin:tiny", TASK, 0), LAYERS)
    for part in model.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.1
    make_low_bit(model, Recipe.of(task=TASK.name, quantise_attention=quantise_attention))
    return model


def fit(model: Any, rows: Any, objective: Objective, folder: Path, evaluate: Any = lambda student: 0.5) -> Any:
    schedule = Schedule(8, 16, 1e-3, warmup=0.0, weight_decay=0.01, seed=0)
    return train(model, rows, PADDING, objective, schedule, CPU, folder, evaluate).curve


def objective(**fields: Any) -> Objective:
    return Objective(EVERY, load_encoder("builtin:tiny", TASK, 1), LAYERS, **{"intervention": 0.5, **fields})


def test_the_teacher_runs_live_while_it_stands_in(rows: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four of eight steps; its kept outputs, computed in one batch, serve the others."""
    stand_ins = []
    record = AttentionTape.__init__

    def watched(self: AttentionTape, wanted: Any, stand_in: Any = None) -> None:
        kind = None if stand_in is None else MAP if stand_in.maps else OUTPUT
        stand_ins.append((kind, None if kind != OUTPUT else float(stand_in.share)))
        record(self, wanted, stand_in)

    monkeypatch.setattr(AttentionTape, "__init__", watched)
    monkeypatch.setattr(stage, "EPOCHS_WORTH_KEEPING", 1)
    curve = fit(student(), rows, objective(), tmp_path)
    kept, teachers_and_students, students = stand_ins[:1], stand_ins[1:9], stand_ins[9:]
    assert kept == [(None, None)] and teachers_and_students[::2] == [(None, None)] * 4
    assert teachers_and_students[1::2] == [(MAP, None), (MAP, None), (OUTPUT, 1.0), (OUTPUT, 0.5)]
    assert students == [(None, None)] * 4
    assert {point["term"] for point in curve} == {*EVERY, "learning rate", "dev score"}


def test_a_training_interrupted_in_each_mode_resumes_bit_for_bit(
    rows: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight steps: two with the map, two with the output, four without; cut off after steps 1, 3 and 5."""
    given = replace(objective(), terms=(*EVERY, "labels"), comparison=Comparison("maps", None, 2, 0.5, 0.5, 2))
    whole = student(quantise_attention=True)
    torch.manual_seed(0)
    curve = fit(whole, rows, given, tmp_path / "whole")

    monkeypatch.setattr(checkpoints, "CHECKPOINT_SECONDS", 0.0)
    torch.manual_seed(0)
    for stop in (1, 3, 5):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            cut_off(stop, patch)
            fit(student(quantise_attention=True), rows, given, tmp_path / "cut")
        assert [path.name for path in (tmp_path / "cut").iterdir()] == [f"checkpoint-{stop}"]
        torch.manual_seed(99)  # what the new process draws before must not matter
    resumed = student(quantise_attention=True)
    assert fit(resumed, rows, given, tmp_path / "cut") == curve
    state = whole.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in resumed.state_dict().items())


def cut_off(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the training end before the step of this number."""
    at = Intervention.at

    def watched(self: Intervention, number: int) -> Any:
        if number == step:
            raise KeyboardInterrupt
        return at(self, number)

    monkeypatch.setattr(Intervention, "at", watched)
