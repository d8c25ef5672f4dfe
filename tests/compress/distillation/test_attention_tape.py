from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from xtc_study.compress.distillation.attention_scores import hook_attention_scores
from xtc_study.compress.distillation.attention_tape import AttentionTape, StandIn, Wanted
from xtc_study.compress.quantization.activations import ActivationFormat, quantize_activation
from xtc_study.compress.quantization.attention import quantize_attention

EVERYTHING = Wanted(scores=True, maps=True, contexts=True, operands=2)
OUTPUT_PROJECTION = {
    "bert": "bert.encoder.layer.{}.attention.output.dense",
    "roberta": "roberta.encoder.layer.{}.attention.output.dense",
    "distilbert": "distilbert.transformer.layer.{}.attention.out_lin",
}
OPERANDS = {
    "bert": ("bert.encoder.layer.2.attention.self.{}", ("query", "key", "value")),
    "roberta": ("roberta.encoder.layer.2.attention.self.{}", ("query", "key", "value")),
    "distilbert": ("distilbert.transformer.layer.2.attention.{}", ("q_lin", "k_lin", "v_lin")),
}


def run(model: Any, inputs: dict[str, Tensor], tape: AttentionTape) -> Any:
    with hook_attention_scores(model), tape.recording():
        return model(**inputs, output_attentions=True)


@torch.no_grad()
def test_a_tape_holds_what_each_layer_computes(
    tiny: Callable[..., Any], batch: Callable[..., Any], family: str
) -> None:
    """Compared with what enters and leaves the projections around attention."""
    model, inputs = tiny(family), batch(family)
    seen: dict[str, Tensor] = {}
    path, names = OPERANDS[family]
    for name in names:
        model.get_submodule(path.format(name)).register_forward_hook(
            lambda module, given, out, name=name: seen.update({name: out})
        )
    for layer in range(4):
        model.get_submodule(OUTPUT_PROJECTION[family].format(layer)).register_forward_pre_hook(
            lambda module, given, layer=layer: seen.update({f"context {layer}": given[0]})
        )
    tape = AttentionTape(EVERYTHING)
    outputs = run(model, inputs, tape)
    assert tape.layers == len(tape.scores) == len(tape.maps) == len(tape.contexts) == 4

    real = inputs["attention_mask"].bool()
    for layer in range(4):
        assert torch.equal(tape.contexts[layer], seen[f"context {layer}"])
        assert torch.equal(tape.maps[layer], tape.scores[layer].softmax(-1))
        both = (real[:, None, :, None] & real[:, None, None, :]).expand(3, 4, 9, 9)
        assert torch.equal(tape.scores[layer][both], outputs.attentions[layer][both])
        assert not tape.maps[layer].transpose(1, 3)[~real].any(), "no probability at padding"
    assert tape.operands is not None
    for name, operand in zip(names, tape.operands, strict=True):
        assert torch.equal(operand.transpose(1, 2).flatten(2), seen[name])


@torch.no_grad()
def test_a_tape_changes_nothing_and_keeps_only_what_is_wanted(
    tiny: Callable[..., Any], batch: Callable[..., Any], family: str
) -> None:
    model, tape = tiny(family), AttentionTape(Wanted())
    with hook_attention_scores(model):
        plain = model(**batch(family)).logits
    assert torch.equal(run(model, batch(family), tape).logits, plain)
    assert (tape.scores, tape.maps, tape.contexts, tape.operands, tape.layers) == ([], [], [], None, 4)
    with hook_attention_scores(model):
        model(**batch(family))
    assert tape.layers == 4, "it is closed"


@torch.no_grad()
@pytest.mark.parametrize("quantised", [False, True], ids=["plain", "8-bit attention"])
def test_what_stands_in_is_used_and_scores_are_the_models_own(
    quantised: bool, tiny: Callable[..., Any], batch: Callable[..., Any], family: str
) -> None:
    student, teacher, inputs = tiny(family), tiny(family, seed=1), batch(family)
    if quantised:
        quantize_attention(student, 8)
    of_teacher, own = AttentionTape(EVERYTHING), AttentionTape(EVERYTHING)
    run(teacher, inputs, of_teacher)
    plain = run(student, inputs, own)

    # Maps: the first layer's values are the student's, weighted by the teacher's map.
    mapped = AttentionTape(EVERYTHING, StandIn(maps=of_teacher.maps))
    with_maps = run(student, inputs, mapped)
    assert torch.equal(with_maps.attentions[0], plain.attentions[0]) and torch.equal(mapped.maps[0], own.maps[0])
    values = AttentionTape(Wanted(operands=0))
    run(student, inputs, values)
    weights = of_teacher.maps[0]
    if quantised:  # the teacher's map is rounded as the student's would be
        integers, scale = quantize_activation(weights, ActivationFormat(8))
        weights = integers * scale
    expected = (weights @ values.operands[2]).transpose(1, 2).flatten(2)
    torch.testing.assert_close(mapped.contexts[0], expected)
    assert not torch.allclose(with_maps.logits, plain.logits, atol=1e-3)

    # Outputs: a share of 0 changes nothing, 1 gives exactly the teacher's; what is kept is the student's own.
    for share in (0.0, 0.25, 1.0):
        taken: list[Tensor] = []
        projection = student.get_submodule(OUTPUT_PROJECTION[family].format(0))
        hook = projection.register_forward_pre_hook(lambda module, given, taken=taken: taken.append(given[0]))
        blended = AttentionTape(EVERYTHING, StandIn(contexts=of_teacher.contexts, share=torch.tensor(share)))
        run(student, inputs, blended)
        hook.remove()
        assert torch.equal(blended.contexts[0], own.contexts[0])
        expected = share * of_teacher.contexts[0] + (1 - share) * own.contexts[0]
        assert torch.equal(taken[0], expected)


@torch.no_grad()
def test_a_model_that_stands_in_for_itself_changes_nothing(
    tiny: Callable[..., Any], batch: Callable[..., Any], family: str
) -> None:
    model, own = tiny(family), AttentionTape(EVERYTHING)
    plain = run(model, batch(family), own).logits
    assert torch.equal(run(model, batch(family), AttentionTape(Wanted(), StandIn(maps=own.maps))).logits, plain)
    whole = StandIn(contexts=own.contexts, share=torch.tensor(1.0))
    assert torch.equal(run(model, batch(family), AttentionTape(Wanted(), whole)).logits, plain)


def test_gradients_flow_through_what_is_still_the_students(
    tiny: Callable[..., Any], batch: Callable[..., Any]
) -> None:
    student, teacher, inputs = tiny("bert"), tiny("bert", seed=1), batch("bert")
    of_teacher = AttentionTape(EVERYTHING)
    with torch.no_grad():
        run(teacher, inputs, of_teacher)
    first = student.bert.encoder.layer[0].attention.self

    def gradients(stand_in: StandIn) -> list[float | None]:
        student.zero_grad()
        run(student, inputs, AttentionTape(Wanted(), stand_in)).logits.square().sum().backward()
        return [None if (grad := part.weight.grad) is None else float(grad.abs().sum()) for part in
                (first.query, first.value)]  # fmt: skip

    query, value = gradients(StandIn(maps=of_teacher.maps))
    assert query is None and value is not None and value > 0, "the map is the teacher's, the values are not"
    assert gradients(StandIn(contexts=of_teacher.contexts, share=torch.tensor(1.0))) == [0.0, 0.0]
    half = gradients(StandIn(contexts=of_teacher.contexts, share=torch.tensor(0.5)))
    assert all(size is not None and size > 0 for size in half)
