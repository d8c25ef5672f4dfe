"""A progressive start: which bits at which step, of which weights, and what a step then computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xtc_study.compress.quantization.freeze import freeze
from xtc_study.compress.quantization.layers import LowBitEmbedding, LowBitLinear
from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.compress.quantization.quantizers import WeightFormat
from xtc_study.compress.quantization.weights_together import weights_together
from xtc_study.recipe import Recipe
from xtc_study.training.progressive_bits import ProgressiveBits, progressive_steps

LINEAR = "bert.encoder.layer.0.attention.self.query"
TABLE = "bert.embeddings.word_embeddings"


@pytest.mark.parametrize(
    ("share", "steps", "expected"),
    [(0.2, 100, (10, 10)), (0.3, 10, (2, 1)), (0.1, 10, (1, 0)), (0.99, 10, (5, 4)), (0.5, 1, (0, 0)), (0, 9, (0, 0))],
)
def test_steps_by_hand(share: float, steps: int, expected: tuple[int, int]) -> None:
    assert progressive_steps(share, steps) == expected


@given(st.floats(0, 0.999), st.integers(1, 10_000))
def test_the_last_step_has_the_weights_own_bits(share: float, steps: int) -> None:
    full, ternary = progressive_steps(share, steps)
    assert 0 <= full - ternary <= 1
    assert full + ternary < steps


def student(tiny: Callable[..., Any], **fields: Any) -> Any:
    model = tiny()
    make_low_bit(model, Recipe.of(task="cola", **fields))
    return model


def bits(model: Any, name: str) -> int:
    fmt = model.get_submodule(name).weight_format
    return 32 if fmt is None else fmt.bits


@pytest.mark.parametrize(
    ("fields", "linears", "tables"),
    [
        ({}, [32, 32, 2, 2, 1, 1], [32, 32, 2, 2, 1, 1]),
        ({"weight_bits": 2}, [32, 32, 2, 2, 2, 2], [32, 32, 2, 2, 2, 2]),
        ({"weight_bits": 4, "embedding_bits": 1}, [32, 32, 4, 4, 4, 4], [32, 32, 2, 2, 1, 1]),
        ({"embedding_bits": 4}, [32, 32, 2, 2, 1, 1], [32, 32, 4, 4, 4, 4]),
    ],
    ids=str,
)
def test_bits_of_each_step(
    tiny: Callable[..., Any], fields: dict[str, Any], linears: list[int], tables: list[int]
) -> None:
    model = student(tiny, granularity="row", weight_clip=2.0, **fields)
    own = {name: module.weight_format for name, module in model.named_modules() if hasattr(module, "weight_format")}
    inputs = model.get_submodule(LINEAR).activation_format
    progressive = ProgressiveBits(model, 0.66, 6)
    seen = []
    for step in range(6):
        progressive.before(step)
        seen.append((bits(model, LINEAR), bits(model, TABLE)))
        assert model.get_submodule(LINEAR).activation_format == inputs
        if step == 2 and linears[2] == 2:
            assert model.get_submodule(LINEAR).weight_format == WeightFormat(2, "row", 2.0)
    assert seen == list(zip(linears, tables, strict=True))
    assert {name: model.get_submodule(name).weight_format for name in own} == own

    # A resumed training begins anywhere, and one that was cut off ends anywhere.
    resumed = ProgressiveBits(model, 0.66, 6)
    resumed.before(3)
    assert (bits(model, LINEAR), bits(model, TABLE)) == (linears[3], tables[3])
    resumed.end()
    assert {name: model.get_submodule(name).weight_format for name in own} == own


def test_a_32_bit_step_computes_as_a_student_with_weights_of_32_bits(
    tiny: Callable[..., Any], batch: Callable[..., Any]
) -> None:
    """Values and gradients, bit for bit; inputs have 8 bits in both."""
    fields = {"quantise_tables": True, "quantise_attention": True}
    one, other = student(tiny, **fields), student(tiny, weight_bits=32, embedding_bits=32, quantise_attention=True)
    other.load_state_dict(one.state_dict())
    progressive = ProgressiveBits(one, 0.5, 4)
    progressive.before(0)
    logits = []
    for model in (one, other):
        model.train()
        model.apply(lambda part: setattr(part, "p", 0.0) if isinstance(part, torch.nn.Dropout) else None)
        outputs = model(**batch(), labels=torch.tensor([0, 1, 2]))
        outputs.loss.backward()
        logits.append(outputs.logits)
    assert torch.equal(*logits)
    for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
        assert (mine.grad is None) == (theirs.grad is None)
        assert mine.grad is None or torch.equal(mine.grad, theirs.grad)

    progressive.end()
    assert not torch.equal(one(**batch()).logits, logits[0])


@pytest.mark.parametrize("fields", [{}, {"weight_bits": 4}], ids=["1 bit", "4 bits"])
def test_weights_quantised_together_follow(
    tiny: Callable[..., Any], batch: Callable[..., Any], fields: dict[str, Any]
) -> None:
    model = student(tiny, granularity="row", **fields)
    model.train()
    model.apply(lambda part: setattr(part, "p", 0.0) if isinstance(part, torch.nn.Dropout) else None)
    progressive, together = ProgressiveBits(model, 0.5, 8), []
    with weights_together(model):
        for step in (0, 2, 4):
            progressive.before(step)
            together.append(model(**batch()).logits)
    for step, logits in zip((0, 2, 4), together, strict=True):
        progressive.before(step)
        torch.testing.assert_close(model(**batch()).logits, logits)
    assert not torch.equal(together[0], together[1])


def test_a_student_is_frozen_at_its_own_bits(tiny: Callable[..., Any]) -> None:
    model = student(tiny)
    progressive = ProgressiveBits(model, 0.5, 4)
    progressive.before(0)
    table = model.get_submodule(TABLE)
    assert torch.equal(table.quantized_weight().integers, table.weight)
    progressive.end()
    freeze(model)
    for module in model.modules():
        if isinstance(module, LowBitLinear | LowBitEmbedding):
            assert module.frozen_integers is not None
            assert set(module.frozen_integers.unique().tolist()) == {-1, 1}


def test_learned_scales_start_from_the_weights_of_their_first_step(tiny: Callable[..., Any]) -> None:
    """Four steps at 32 bits, four at 2, two at one bit; a table of 4 bits has its own from the fifth on."""
    model = student(tiny, weight_scale="learned", granularity="row", embedding_bits=4)
    linear, table = model.get_submodule(LINEAR), model.get_submodule(TABLE)
    progressive = ProgressiveBits(model, 0.8, 10)
    first = linear.weight_scale.clone()
    for step in range(10):
        with torch.no_grad():
            linear.weight.mul_(2)
            table.weight.mul_(2)
        progressive.before(step)
        assert (linear.learned_scale is not None) == (step >= 8)
        assert (table.learned_scale is not None) == (step >= 4)
        expected = linear.weight.abs().mean(-1) if step == 8 else linear.weight_scale if step == 9 else first
        torch.testing.assert_close(linear.weight_scale.detach(), expected.detach())
        if step in (4, 5):
            torch.testing.assert_close(table.weight_scale, table.weight.abs().amax(-1) / 7 / (step - 3))

    # A training resumed just there starts them again, from the same weights.
    with torch.no_grad():
        linear.weight_scale.fill_(1)
    resumed = ProgressiveBits(model, 0.8, 10)
    resumed.before(8)
    torch.testing.assert_close(linear.weight_scale.detach(), linear.weight.abs().mean(-1).detach())
