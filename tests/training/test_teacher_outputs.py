"""A teacher's kept outputs equal recomputed ones, and training with them gives the same student."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from xtc_study.compress.distillation.attention_scores import hook_attention_scores
from xtc_study.compress.distillation.losses import distillation_terms
from xtc_study.tasks.batches import ROW, Padding, tokenize
from xtc_study.tasks.catalogue import find_task, load_task
from xtc_study.tasks.generated.vocabulary import toy_tokenizer
from xtc_study.training import stage
from xtc_study.training.objective import Comparison, Objective, losses_of
from xtc_study.training.precision import Precision
from xtc_study.training.pretrained import load_encoder
from xtc_study.training.schedule import Schedule
from xtc_study.training.stage import train
from xtc_study.training.teacher_outputs import TeacherOutputs, bytes_needed

TASK = find_task("toy-sentiment")
CPU = Precision("cpu", "fp32")
LAYERS, STATES = (1, 3), (0, 2, 4)
NUMBERS = [5, 0, 17, 30, 9]
EVERY = ("attention", "hidden", "logits")


@pytest.fixture(scope="module")
def rows() -> Any:
    return tokenize(load_task(TASK.name)["train"].select(range(40)), TASK, toy_tokenizer(), 32)


@pytest.fixture(params=["right", "left"])
def padding(request: pytest.FixtureRequest) -> Padding:
    tokenizer = toy_tokenizer()
    tokenizer.padding_side = request.param
    return Padding(tokenizer, TASK)


def recomputed(teacher: Any, batch: dict[str, torch.Tensor]) -> Any:
    with torch.no_grad():
        return teacher(**batch, output_attentions=True, output_hidden_states=True)


def batch_of(rows: Any, padding: Padding, numbers: list[int]) -> dict[str, torch.Tensor]:
    return {name: value for name, value in padding([rows[i] for i in numbers]).items() if name != "labels"}


@pytest.mark.parametrize("terms", [EVERY, ("attention", "hidden"), ("hidden",), ("attention",), ("logits",)])
def test_kept_outputs_equal_recomputed_ones(terms: tuple[str, ...], rows: Any, padding: Padding) -> None:
    teacher = load_encoder("builtin:tiny", TASK, 0).eval()
    batch = batch_of(rows, padding, NUMBERS)
    mask = batch["attention_mask"]
    assert not mask.bool().all(), "some of it must be padding"
    with hook_attention_scores(teacher):
        kept = TeacherOutputs(Objective(terms, teacher, LAYERS), rows, padding, CPU).of(NUMBERS, mask)
        expected = recomputed(teacher, batch)
    torch.testing.assert_close(kept.logits, expected.logits)
    assert set(kept.hidden_states) == (set(STATES) if "hidden" in terms else set())
    assert set(kept.attentions) == (set(LAYERS) if "attention" in terms else set())
    for state, hidden in kept.hidden_states.items():
        torch.testing.assert_close(hidden, expected.hidden_states[state] * mask[:, :, None])
    both = (mask[:, None, :, None] * mask[:, None, None, :]).bool()
    for layer, scores in kept.attentions.items():
        torch.testing.assert_close(scores, expected.attentions[layer].where(both, 0.0))


def test_kept_outputs_give_the_same_loss_and_gradients(rows: Any, padding: Padding) -> None:
    teacher, student = load_encoder("builtin:tiny", TASK, 0).eval(), load_encoder("builtin:tiny", TASK, 1)
    layers, states = (0, 1, 2, 3), (0, 1, 2, 3, 4)
    batch = batch_of(rows, padding, NUMBERS)
    mask, labels = batch["attention_mask"], torch.zeros(len(NUMBERS), dtype=torch.long)
    found = []
    with hook_attention_scores(teacher, student):
        kept = TeacherOutputs(Objective(EVERY, teacher, layers), rows, padding, CPU).of(NUMBERS, mask)
        for teacher_outputs in (kept, recomputed(teacher, batch)):
            student.zero_grad()
            answer = student(**batch, output_attentions=True, output_hidden_states=True)
            terms = distillation_terms(EVERY, answer, teacher_outputs, layers, states, mask, labels)
            torch.stack(list(terms.values())).sum().backward()
            gradients = [parameter.grad for parameter in student.parameters() if parameter.grad is not None]
            found.append((terms, gradients))
    torch.testing.assert_close(found[0][0], found[1][0])
    torch.testing.assert_close(found[0][1], found[1][1])


@pytest.mark.parametrize("kind", ["maps", "relations"])
def test_kept_attention_gives_the_same_loss_and_gradients(kind: str, rows: Any, padding: Padding) -> None:
    """And takes the bytes that were reckoned with."""
    teacher, student = load_encoder("builtin:tiny", TASK, 0).eval(), load_encoder("builtin:tiny", TASK, 1)
    objective = Objective(EVERY, teacher, (1, 0, 3, 2), comparison=Comparison(kind))
    batch = batch_of(rows, padding, NUMBERS)
    mask, labels = batch["attention_mask"], torch.zeros(len(NUMBERS), dtype=torch.long)
    found = []
    with hook_attention_scores(teacher, student):
        outputs = TeacherOutputs(objective, rows, padding, CPU)
        for kept in (outputs.of(NUMBERS, mask), None):
            student.zero_grad()
            terms = losses_of(objective, CPU, student, batch, labels, kept)[1]
            torch.stack(list(terms.values())).sum().backward()
            gradients = [parameter.grad for parameter in student.parameters() if parameter.grad is not None]
            found.append((terms, gradients))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-6)
    stored = sum(part.numel() * part.element_size() for row in outputs.rows for part in row)
    assert stored == bytes_needed(objective, rows["length"][:])


def count_calls(model: Any) -> list[int]:
    calls: list[int] = []
    model.register_forward_hook(lambda *given: calls.append(1))
    return calls


def fit(rows: Any, folder: Path, steps: int, **objective: Any) -> tuple[list[dict[str, Any]], int]:
    """The curve, and how often the teacher ran."""
    teacher = load_encoder("builtin:tiny", TASK, 1)
    calls = count_calls(teacher)
    schedule = Schedule(steps, 16, 1e-3, warmup=0.0, weight_decay=0.01, seed=0)
    curve = train(
        load_encoder("builtin:tiny", TASK, 0),
        rows,
        Padding(toy_tokenizer(), TASK),
        Objective(EVERY, teacher, (0, 1, 2, 3), **objective),
        schedule,
        CPU,
        folder,
        lambda student: 0.5,
    ).curve
    return curve, len(calls)


def test_kept_teacher_outputs_train_the_same_student(
    rows: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, calls = fit(rows, tmp_path, 9)
    assert calls == 1, "40 rows are one batch of the teacher's"
    monkeypatch.setattr(stage, "memory_limit", lambda: 1000)
    recomputed_curve, calls = fit(rows, tmp_path, 9)
    assert calls == 9
    assert [point["value"] for point in kept] == pytest.approx(
        [point["value"] for point in recomputed_curve], rel=1e-4
    )


@pytest.mark.parametrize(
    ("steps", "objective"), [(4, {}), (9, {"pad_in_loss": True}), (9, {"teacher_dropout": True})], ids=str
)
def test_the_teacher_runs_on_each_batch_if_its_outputs_are_not_kept(
    steps: int, objective: dict[str, bool], rows: Any, tmp_path: Path
) -> None:
    assert fit(rows, tmp_path, steps, **objective)[1] == steps


def test_bytes_by_hand(tiny: Callable[..., Any]) -> None:
    teacher = tiny(labels=3)
    assert bytes_needed(Objective(EVERY, teacher, LAYERS), [3, 5]) == 4 * (3 * 32 * 8 + 2 * 4 * (9 + 25) + 2 * 3)
    assert bytes_needed(Objective(("logits",), teacher, LAYERS), [3, 5]) == 4 * 2 * 3
    maps = Objective(("attention",), teacher, LAYERS, comparison=Comparison("maps"))
    assert bytes_needed(maps, [3, 5]) == 4 * (2 * 4 * (9 + 25) + 2 * 32 * 8 + 2 * 3), "probabilities and contexts"
    relations = Objective(("attention",), teacher, LAYERS, comparison=Comparison("relations"))
    assert bytes_needed(relations, [3, 5]) == 4 * (3 * 32 * 8 + 2 * 3), "queries, keys and values of one layer"
    teacher.config.head_dim = 16
    assert bytes_needed(relations, [3, 5]) == 4 * (3 * 64 * 8 + 2 * 3)


def test_padding_keeps_row_numbers(rows: Any) -> None:
    numbered = rows.add_column(ROW, range(len(rows)))
    batch = Padding(toy_tokenizer(), TASK)([numbered[7], numbered[3]])
    assert batch[ROW].tolist() == [7, 3]
