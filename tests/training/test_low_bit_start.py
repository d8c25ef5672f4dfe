"""Low-bit students that start from other weights or words, by their recipe."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch

from xtc_study.compress.quantization.layers import LowBitEmbedding, LowBitLinear
from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.recipe import Recipe
from xtc_study.tasks.batches import Padding, tokenize
from xtc_study.tasks.catalogue import find_task, load_task
from xtc_study.tasks.generated.vocabulary import toy_tokenizer
from xtc_study.training.low_bit_start import ROWS, start_low_bit, unpadded_batches

TASK = find_task("toy-sentiment")
TOKENIZER = toy_tokenizer()
TABLE = "bert.embeddings.word_embeddings.weight"


@pytest.fixture(scope="module")
def rows() -> Any:
    return tokenize(load_task(TASK.name)["train"].select(range(200)), TASK, TOKENIZER, 32)


def test_batches_have_nothing_to_pad_and_depend_on_the_seed_alone(rows: Any) -> None:
    padding = Padding(TOKENIZER, TASK)
    batches = unpadded_batches(rows, padding, 0)
    assert sum(len(batch["input_ids"]) for batch in batches) == ROWS
    assert all(batch["attention_mask"].all() and "labels" not in batch for batch in batches)
    torch.manual_seed(7)
    again, other = unpadded_batches(rows, padding, 0), unpadded_batches(rows, padding, 1)
    assert all(torch.equal(a["input_ids"], b["input_ids"]) for a, b in zip(batches, again, strict=True))
    assert [batch["input_ids"].shape for batch in other] != [batch["input_ids"].shape for batch in batches]
    assert sum(len(batch["input_ids"]) for batch in unpadded_batches(rows.select(range(9)), padding, 0)) == 9


@pytest.mark.parametrize(
    ("fields", "table", "weights"),
    [
        ({}, False, False),
        ({"word_start": "static"}, True, False),
        ({"weight_start": "least-squares"}, False, True),
        ({"weight_start": "least-squares", "word_start": "static", "input_norm": "rms", "weight_bits": 2}, True, True),
    ],
    ids=["as before", "words", "weights", "both, with norms"],
)
def test_a_recipe_changes_what_it_names(
    tiny: Callable[..., Any], batch: Callable[..., Any], fields: dict[str, Any], table: bool, weights: bool
) -> None:
    recipe, student, teacher = Recipe.of(task=TASK.name, **fields), tiny("bert"), tiny("bert", seed=1)
    plain = copy.deepcopy(student)
    make_low_bit(plain, recipe)
    start_low_bit(student, teacher, recipe, TOKENIZER, lambda: [batch("bert")])
    assert isinstance(student.get_input_embeddings(), LowBitEmbedding) and student.training == plain.training
    before, after = plain.state_dict(), student.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    linears = {f"{name}.weight" for name, module in student.named_modules() if isinstance(module, LowBitLinear)}
    assert changed == ({TABLE} if table else set()) | (linears if weights else set())
    layer = "bert.encoder.layer.0.output.dense"
    mine, theirs = (model.get_submodule(layer).quantized_weight() for model in (student, plain))
    torch.testing.assert_close(mine.scale, theirs.scale)
    assert torch.equal(mine.integers, theirs.integers) != weights
