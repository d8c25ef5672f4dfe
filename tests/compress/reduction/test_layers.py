from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import ModernBertConfig, ModernBertForSequenceClassification

from xtc_study.compress.reduction.layers import LayersError, hidden_state_map, layer_map, reduced


@pytest.mark.parametrize(
    ("depth", "layers", "expected"),
    [
        (12, None, tuple(range(12))),
        (12, 12, tuple(range(12))),
        (12, 6, (1, 3, 5, 7, 9, 11)),
        (12, 5, (2, 4, 6, 8, 10)),
        (12, 4, (2, 5, 8, 11)),
        (12, 3, (3, 7, 11)),
        (12, 1, (11,)),
        (6, 3, (1, 3, 5)),
        (12, [1, 4, 7, 10], (1, 4, 7, 10)),
        (12, (0,), (0,)),
    ],
)
def test_student_layers_match_hand_computed_values(depth: int, layers: Any, expected: tuple[int, ...]) -> None:
    assert layer_map(depth, layers) == expected


@pytest.mark.parametrize("depth", range(1, 25))
def test_every_count_gives_ascending_teacher_layers(depth: int) -> None:
    for count in range(1, depth + 1):
        layers = layer_map(depth, count)
        assert len(layers) == count
        assert list(layers) == sorted(set(layers))
        assert layers[0] >= 0
        assert layers[-1] < depth
    assert layer_map(depth, depth) == tuple(range(depth))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (0, "layers=0: expected 1 to 12"),
        (13, "layers=13: expected 1 to 12"),
        (-1, "layers=-1: expected 1 to 12"),
        ([1, 12], "[12] outside the teacher's layers 0 to 11"),
        ([-1, 3], "[-1] outside"),
        ([3, 3], "each teacher layer once"),
    ],
    ids=str,
)
def test_layers_outside_the_teacher_are_refused(layers: Any, message: str) -> None:
    with pytest.raises(LayersError, match=re.escape(message)):
        layer_map(12, layers)


@pytest.mark.parametrize(
    ("layers", "states"),
    [
        (tuple(range(12)), tuple(range(13))),
        ((1, 3, 5, 7, 9, 11), (0, 2, 4, 6, 8, 10, 12)),
        ((2, 4, 6, 8, 10), (1, 3, 5, 7, 9, 11)),
        ((1, 4, 7, 10), (0, 2, 5, 8, 11)),
        ((2, 5, 8, 11), (1, 3, 6, 9, 12)),
    ],
    ids=["12", "6", "5", "4 from 1 to 10", "4 from 2 to 11"],
)
def test_hidden_state_map_matches_the_authors_code(layers: tuple[int, ...], states: tuple[int, ...]) -> None:
    assert hidden_state_map(layers) == states


def test_error_about_teacher_layers_names_the_encoder() -> None:
    with pytest.raises(LayersError, match=r"teacher_layers=13: expected 1 to 12, the encoder's depth"):
        layer_map(12, 13, "teacher_layers", "encoder")
    with pytest.raises(LayersError, match=r"teacher_layers=\[1, 12\]: \[12\] outside the encoder's layers 0 to 11"):
        layer_map(12, [1, 12], "teacher_layers", "encoder")


STACK = {
    "bert": "bert.encoder.layer",
    "roberta": "roberta.encoder.layer",
    "distilbert": "distilbert.transformer.layer",
}


@pytest.mark.parametrize("layers", [(1, 3), (0,), (0, 1, 2, 3)], ids=str)
def test_reduced_copies_the_layers_and_everything_else(
    tiny: Callable[..., Any], family: str, layers: tuple[int, ...]
) -> None:
    teacher = tiny(family)
    student = reduced(teacher, layers)
    assert student.config.num_hidden_layers == len(layers)
    assert teacher.config.num_hidden_layers == 4
    theirs, ours = teacher.state_dict(), student.state_dict()
    outside = {name for name in theirs if not name.startswith(STACK[family])}
    assert {name for name in ours if not name.startswith(STACK[family])} == outside
    assert all(torch.equal(ours[name], theirs[name]) for name in outside)
    inside = {name for name in ours if name.startswith(STACK[family])}
    assert len(inside) == 16 * len(layers)
    for name in inside:
        new = int(re.search(r"layer\.(\d+)\.", name)[1])  # type: ignore[index]
        assert torch.equal(ours[name], theirs[name.replace(f"layer.{new}.", f"layer.{layers[new]}.", 1)])


def test_reduced_shares_no_memory(tiny: Callable[..., Any]) -> None:
    teacher = tiny("bert")
    before = teacher.classifier.weight.clone()
    student = reduced(teacher, (0, 1))
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.zero_()
    assert torch.equal(teacher.classifier.weight, before)
    assert teacher.bert.encoder.layer[0].output.dense.weight.abs().sum() > 0


def test_keeping_all_layers_gives_the_teachers_logits(
    tiny: Callable[..., Any], batch: Callable[..., Any], family: str
) -> None:
    teacher = tiny(family)
    student = reduced(teacher, (0, 1, 2, 3)).eval()
    with torch.no_grad():
        assert torch.equal(student(**batch(family)).logits, teacher(**batch(family)).logits)


def test_kept_layer_keeps_its_kind_of_attention() -> None:
    """ModernBERT: layers 0 and 3 attend to the whole text, the others to 4 neighbours."""
    config = ModernBertConfig(
        vocab_size=101, hidden_size=32, num_hidden_layers=4, num_attention_heads=4, intermediate_size=64,
        pad_token_id=0, num_labels=3, local_attention=4,
    )  # fmt: skip
    student = reduced(ModernBertForSequenceClassification(config), (0, 2, 3))
    assert student.config.layer_types == ["full_attention", "sliding_attention", "full_attention"]
    assert [layer.attention_type for layer in student.model.layers] == student.config.layer_types
    assert config.layer_types == ["full_attention", "sliding_attention", "sliding_attention", "full_attention"]
