from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, ModernBertConfig, ModernBertForSequenceClassification

import xtc_study
from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.compress.reduction.width import WidthError, feed_forwards, kept_units, magnitudes, narrowed
from xtc_study.packed.checkpoint import save_packed
from xtc_study.recipe import Recipe

PAIRS = {
    "bert": ("bert.encoder.layer.1.intermediate.dense", "bert.encoder.layer.1.output.dense"),
    "roberta": ("roberta.encoder.layer.1.intermediate.dense", "roberta.encoder.layer.1.output.dense"),
    "distilbert": ("distilbert.transformer.layer.1.ffn.lin1", "distilbert.transformer.layer.1.ffn.lin2"),
}


def test_feed_forward_parts_are_found_by_shape(tiny: Callable[..., Any], family: str) -> None:
    found = feed_forwards(tiny(family, layers=2))
    assert len(found) == 2 and tuple(found[1]) == PAIRS[family]


def test_magnitude_matches_hand_computed_value(tiny: Callable[..., Any]) -> None:
    """A unit with row (3, 4, 0, ...) and column (0, 2, 0, ...) has magnitude 5 * 2."""
    model = tiny("bert", layers=1)
    up, down = (model.get_submodule(name) for name in feed_forwards(model)[0])
    with torch.no_grad():
        up.weight.zero_()
        down.weight.zero_()
        up.weight[7, :2] = torch.tensor([3.0, 4.0])
        down.weight[1, 7] = -2.0
    (sizes,) = magnitudes(model)
    assert sizes.shape == (64,) and sizes[7] == 10 and sizes.sum() == 10


@pytest.mark.parametrize(
    ("share", "kept"),
    [("1/2", [1, 3]), ("1/4", [3]), ("3/4", [0, 1, 3]), ("1/1", [0, 1, 2, 3]), ("1/100", [3]), ("5/8", [1, 3])],
)
def test_units_with_the_highest_scores_are_kept_in_order(share: str, kept: list[int]) -> None:
    """Of the tied units 0 and 2 the first is kept; 5/8 of four is 2.5, which rounds to the even 2."""
    first, second = kept_units([torch.tensor([1.0, 2.0, 1.0, 3.0]), torch.tensor([0.0, 0.0, 0.0, 0.0])], share)
    assert first.tolist() == kept and second.tolist() == list(range(len(kept)))


def test_removing_units_without_effect_keeps_the_logits(
    tiny: Callable[..., Any], batch: Callable[..., Any], family: str
) -> None:
    model = tiny(family)
    generator = torch.Generator().manual_seed(0)
    kept = [torch.randperm(64, generator=generator)[:20].sort().values for _ in range(4)]
    with torch.no_grad():
        for part, units in zip(feed_forwards(model), kept, strict=True):
            gone = torch.ones(64, dtype=torch.bool)
            gone[units] = False
            model.get_submodule(part.down).weight[:, gone] = 0
    smaller = narrowed(model, kept).eval()
    inputs = batch(family)
    with torch.no_grad():
        assert torch.allclose(smaller(**inputs).logits, model(**inputs).logits, atol=1e-5)
    pairs = feed_forwards(smaller)
    assert {smaller.get_submodule(part.up).out_features for part in pairs} == {20}
    assert {smaller.get_submodule(part.down).in_features for part in pairs} == {20}
    assert model.get_submodule(pairs[0].up).out_features == 64, "a new model is made"


def test_keeping_all_units_gives_the_same_model(tiny: Callable[..., Any], batch: Callable[..., Any]) -> None:
    model = tiny("bert")
    whole = narrowed(model, kept_units(magnitudes(model), "1/1")).eval()
    with torch.no_grad():
        assert torch.equal(whole(**batch()).logits, model(**batch()).logits)


@pytest.mark.parametrize("bits", [32, 8, 2, 1])
def test_pruned_file_is_smaller_and_loads_with_every_engine(
    tiny: Callable[..., Any], batch: Callable[..., Any], bits: int, tmp_path: Path
) -> None:
    """21 of 64 units: a width that does not fill whole bytes."""
    sizes = []
    for share in ("1/1", "1/3"):
        model = tiny("bert")
        model = narrowed(model, kept_units(magnitudes(model), share)).eval()
        if bits < 32:
            make_low_bit(model, Recipe.of(task="cola", weight_bits=bits))
        sizes.append(save_packed(model, tmp_path / share[-1]))
    with torch.inference_mode():
        logits = model(**batch()).logits
        for loaded in (
            xtc_study.load(tmp_path / "3", "torch"),
            xtc_study.load(tmp_path / "3", "numba"),
            AutoModelForSequenceClassification.from_pretrained(tmp_path / "3"),
        ):
            assert torch.equal(loaded(**batch()).logits, logits)
    removed = 4 * 2 * 32 * (64 - 21)
    assert sizes[0] - sizes[1] > 0.9 * removed * {32: 32, 8: 8, 2: 1.6, 1: 1}[bits] / 8


def test_unsuitable_encoders_and_units_are_refused(tiny: Callable[..., Any]) -> None:
    model = tiny("bert")
    with pytest.raises(WidthError, match="expected 4 lists of equal length, one per layer"):
        narrowed(model, [torch.arange(3)] * 3)
    with pytest.raises(WidthError, match="expected 4 lists of equal length"):
        narrowed(model, [torch.arange(3)] * 3 + [torch.arange(4)])
    gated = ModernBertForSequenceClassification(
        ModernBertConfig(
            hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, vocab_size=9,
            pad_token_id=0, cls_token_id=1, sep_token_id=2, bos_token_id=1, eos_token_id=2,
        )
    )  # fmt: skip
    with pytest.raises(WidthError, match=re.escape("layer 0 has 0 linears from 32 to 48 and 1 back")):
        feed_forwards(gated)
    model.config.intermediate_size = 32  # as wide as the hidden states: queries and keys look the same
    with pytest.raises(WidthError, match="layer 0 has 4 linears from 32 to 32 and 4 back"):
        feed_forwards(model)
