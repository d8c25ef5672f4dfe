"""The objective of each stage of a recipe, and its losses for every kind of comparison."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from xtc_study.chain import Step, chain
from xtc_study.compress.distillation.attention_maps import context_loss, map_loss
from xtc_study.compress.distillation.attention_scores import hook_attention_scores
from xtc_study.compress.distillation.attention_tape import AttentionTape, Wanted
from xtc_study.compress.distillation.relations import relation_loss
from xtc_study.compress.reduction.layers import reduced
from xtc_study.recipe import Recipe
from xtc_study.training.intervention import MAP, OUTPUT, Standing
from xtc_study.training.objective import Comparison, Objective, losses_of
from xtc_study.training.precision import Precision

CPU = Precision("cpu", "fp32")
EVERY = ("attention", "hidden", "logits")
LABELS = torch.tensor([0, 2, 1])


def objectives(**fields: Any) -> dict[str, Objective]:
    recipe = Recipe.of(**{"task": "cola", **fields})
    return {step.title: Objective.of(step, recipe, None, (1, 3)) for step in chain(recipe)}


def test_by_default_terms_are_those_of_the_step_with_weight_1() -> None:
    found = objectives(layers=2, stages=3)
    assert found["teacher"] == Objective(("labels",))
    for title, terms in {"reduce": EVERY, "quantise 1/3": EVERY[:2], "quantise 3/3": ("logits",)}.items():
        assert found[title] == Objective(terms, None, (1, 3))
        assert [found[title].weight(term) for term in (*terms, "labels")] == [1] * len(terms) + [
            0 if "logits" in terms else 1
        ]


def test_labels_join_every_stage_that_has_logits() -> None:
    found = objectives(layers=2, stages=2, reduce_stages=0, label_weight=0.5, temperature=3)
    assert found["teacher"] == Objective(("labels",)), "the teacher's loss stays as it was"
    assert [objective.terms for objective in found.values()] == [
        ("labels",), ("labels",), ("attention", "hidden"), ("logits", "labels")
    ]  # fmt: skip
    assert found["quantise 2/2"].weight("labels") == 0.5
    assert found["reduce"].weight("labels") == 1, "what is learned alone"
    assert found["quantise 2/2"].comparison.temperature == 3


def test_a_weight_of_0_leaves_a_term_out() -> None:
    assert objectives(attention_weight=0)["quantise"].terms == ("hidden", "logits")
    assert not objectives(attention_weight=0)["quantise"].reads_attention
    assert objectives(hidden_weight=0, stages=2)["quantise 1/2"].terms == ("attention",)
    assert objectives(hidden_weight=0, attention_weight=0)["quantise"].terms == ("logits",)


def test_an_intervention_is_a_share_of_the_low_bit_phase_in_its_first_stage() -> None:
    found = objectives(layers=2, stages=2, intervention=0.25)
    assert {title: objective.intervention for title, objective in found.items()} == {
        "teacher": 0, "reduce": 0, "quantise 1/2": 0.5, "quantise 2/2": 0,
    }  # fmt: skip
    whole = objectives(attention_weight=0, intervention=0.25)["quantise"]
    assert whole.intervention == 0.25 and whole.reads_attention, "it reads attention, whatever is compared"


@pytest.fixture
def pair(tiny: Callable[..., Any], family: str) -> tuple[Any, Any]:
    teacher = tiny(family)
    return reduced(teacher, (1, 3)).eval(), tiny(family, seed=1)


def losses(pair: tuple[Any, Any], inputs: Any, terms: tuple[str, ...] = EVERY, **fields: Any) -> dict[str, Any]:
    standing = fields.pop("standing", None)
    objective = Objective(terms, pair[1], (1, 3), **fields)
    with hook_attention_scores(*pair):
        return losses_of(objective, CPU, pair[0], inputs, LABELS, standing=standing)[1]


def tapes(pair: tuple[Any, Any], inputs: Any) -> tuple[AttentionTape, AttentionTape]:
    student, teacher = AttentionTape(Wanted(True, True, True, 1)), AttentionTape(Wanted(True, True, True, 3))
    with torch.no_grad(), hook_attention_scores(*pair):
        for model, tape in zip(pair, (student, teacher), strict=True):
            with tape.recording():
                model(**inputs)
    return student, teacher


@pytest.mark.parametrize("pad_in_loss", [False, True])
def test_maps_compare_mapped_layers(
    pad_in_loss: bool, pair: tuple[Any, Any], batch: Callable[..., Any], family: str
) -> None:
    inputs = batch(family)
    found = losses(pair, inputs, comparison=Comparison("maps"), pad_in_loss=pad_in_loss)
    assert list(found) == ["attention", "attention output", "hidden", "logits"]
    student, teacher = tapes(pair, inputs)
    mask = None if pad_in_loss else inputs["attention_mask"]
    assert torch.equal(found["attention"], map_loss(student.scores, [teacher.maps[1], teacher.maps[3]], mask))
    contexts = [teacher.contexts[1], teacher.contexts[3]]
    assert torch.equal(found["attention output"], context_loss(student.contexts, contexts, mask))


@pytest.mark.parametrize(("chosen", "of_student", "of_teacher"), [(None, 1, 3), (3, 1, 3), (1, 0, 1)])
def test_relations_compare_one_layer(
    chosen: int | None, of_student: int, of_teacher: int, pair: tuple[Any, Any], batch: Callable[..., Any], family: str
) -> None:
    inputs = batch(family)
    found = losses(pair, inputs, comparison=Comparison("relations", chosen))
    assert list(found) == list(EVERY)
    vectors = []
    for model, layer in zip(pair, (of_student, of_teacher), strict=True):
        tape = AttentionTape(Wanted(operands=layer))
        with torch.no_grad(), hook_attention_scores(model), tape.recording():
            model(**inputs)
        vectors.append(tape.operands)
    assert torch.equal(found["attention"], relation_loss(*vectors, inputs["attention_mask"]))  # type: ignore[arg-type]


def test_weights_and_temperature(pair: tuple[Any, Any], batch: Callable[..., Any], family: str) -> None:
    terms = (*EVERY, "labels")
    plain = losses(pair, batch(family), terms, comparison=Comparison("maps", label_weight=1))
    weighed = losses(pair, batch(family), terms, comparison=Comparison("maps", None, 2, 0.5, 4))
    factors = {"attention": 2, "attention output": 2, "hidden": 0.5, "logits": 1, "labels": 4}
    assert {term: value.item() for term, value in weighed.items()} == {
        term: (factors[term] * plain[term]).item() for term in plain
    }
    hot = losses(pair, batch(family), ("logits",), comparison=Comparison(temperature=2))
    assert hot["logits"].item() != pytest.approx(plain["logits"].item())


@pytest.mark.parametrize("kind", ["scores", "maps", "relations"])
def test_no_attention_is_compared_where_student_and_teacher_are_equal(
    kind: str, tiny: Callable[..., Any], batch: Callable[..., Any]
) -> None:
    model = tiny("bert")
    objective = Objective(("attention", "hidden"), tiny("bert"), (0, 1, 2, 3), comparison=Comparison(kind))
    for standing in (None, Standing(MAP, torch.tensor(1.0)), Standing(OUTPUT, torch.tensor(0.5))):
        with hook_attention_scores(model, objective.teacher):
            found = losses_of(objective, CPU, model, batch("bert"), LABELS, standing=standing)[1]
        assert all(abs(value.item()) < 1e-6 for value in found.values())


@pytest.mark.parametrize("mode", [None, MAP, OUTPUT])
@pytest.mark.parametrize("kind", ["scores", "maps", "relations"])
def test_products_in_bf16_give_losses_in_fp32(
    kind: str, mode: str | None, tiny: Callable[..., Any], batch: Callable[..., Any]
) -> None:
    student, teacher, precision = tiny("bert"), tiny("bert", seed=1), Precision("cpu", "bf16")
    objective = Objective((*EVERY, "labels"), teacher, (0, 1, 2, 3), comparison=Comparison(kind, label_weight=1))
    standing = None if mode is None else Standing(mode, torch.tensor(0.5))
    with hook_attention_scores(student, teacher), precision.cast_once(teacher):
        low = losses_of(objective, precision, student, batch("bert"), LABELS, standing=standing)[1]
    with hook_attention_scores(student, teacher):
        full = losses_of(objective, CPU, student, batch("bert"), LABELS, standing=standing)[1]
    torch.stack(list(low.values())).sum().backward()
    assert all(value.dtype == torch.float32 for value in low.values())
    torch.testing.assert_close(low, full, rtol=0.1, atol=0.02)


@pytest.mark.parametrize("mode", [MAP, OUTPUT])
def test_a_student_learns_its_own_attention_while_the_teachers_stands_in(
    mode: str, pair: tuple[Any, Any], batch: Callable[..., Any], family: str
) -> None:
    """The first layer's scores are those without an intervention; the logits are not."""
    plain, standing = (
        losses(pair, batch(family), comparison=Comparison("maps"), standing=standing)
        for standing in (None, Standing(mode, torch.tensor(1.0)))
    )
    assert not torch.equal(standing["logits"], plain["logits"])
    pair[0].zero_grad()
    (standing["attention"] + standing["attention output"]).backward()
    idle = [name for name, parameter in pair[0].named_parameters() if parameter.grad is None]
    assert not any(part in name for name in idle for part in ("query", "key", "value", "q_lin", "k_lin", "v_lin"))


def test_a_step_takes_its_place_from_the_chain() -> None:
    recipe = Recipe.of(task="cola", attention_loss="relations", relation_layer=3, weight_bits=2)
    step: Step = chain(recipe)[-1]
    objective = Objective.of(step, recipe, None, (1, 3))
    assert objective.kind == "relations" and objective.relation_layers == (1, 3)
