from __future__ import annotations

import pytest

from xtc_study.chain import chain
from xtc_study.profiles import load_profile
from xtc_study.recipe import Recipe, RecipeError
from xtc_study.recipe_static import OF_TRAINING, OF_TRANSFORMER
from xtc_study.studies import load_study, plan

FREE = {"task", "model", "max_length", "static", "weight_bits", "embedding_bits", "rest", "vocabulary"}
"""Fields that shape a table."""


def test_every_field_shapes_a_table_or_is_left_out_or_refused() -> None:
    assert set(Recipe.model_fields) == FREE | set(OF_TRAINING) | set(OF_TRANSFORMER)
    assert len(FREE) + len(OF_TRAINING) + len(OF_TRANSFORMER) == len(Recipe.model_fields)


def test_what_only_a_training_has_is_no_part_of_a_table() -> None:
    plain = Recipe.of(task="cola", static=64)
    other = Recipe.of(
        task="cola", static=64, seed=3, epochs=9, learning_rate=1e-3, activation_bits=8, batch_size=8, stages=3
    )
    assert other == plain and other.run_id == plain.run_id == "cola-static64-w1-" + plain.run_id[-10:]
    assert (other.seed, other.activation_bits) == (0, 32)
    assert Recipe.of(**other.model_dump(mode="json")) == other, "what a run wrote gives the same recipe"


def test_both_fields_have_the_bits_of_the_table() -> None:
    by_weights, by_table = (
        Recipe.of(task="cola", static=8, weight_bits=4),
        Recipe.of(task="cola", static=8, embedding_bits=4),
    )
    assert by_weights == by_table and (by_table.weight_bits, by_table.embedding_bits_used) == (4, 4)
    assert Recipe.of(task="cola", static=8, weight_bits=2, embedding_bits=8).weight_bits == 8
    ids = {Recipe.of(task="cola", static=8, embedding_bits=bits).run_id for bits in (1, 2, 3, 4, 5, 6, 7, 8, 32)}
    assert len(ids) == 9


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("layers", 3), ("teacher_layers", "1/2"), ("ffn", "1/2"), ("start", "pretrained"), ("order", "together")),
        *(("granularity", "row"), ("quantise_tables", True), ("augmentation", "synonyms"), ("weight_clip", 2.5)),
    ],
)
def test_what_a_table_does_not_have_is_refused(field: str, value: object) -> None:
    with pytest.raises(RecipeError, match=rf"static=64 takes no {field} .*leave {field} out"):
        Recipe.of(task="cola", static=64, **{field: value})


@pytest.mark.parametrize("width", [0, -1, 2.5, "64", True])
def test_a_width_is_a_whole_number(width: object) -> None:
    with pytest.raises(RecipeError, match="static="):
        Recipe.of(task="cola", static=width)


def test_a_table_has_no_teacher_and_shares_the_encoders_vectors() -> None:
    narrow, wide = (chain(Recipe.of(task="cola", static=width)) for width in (8, 16))
    other = chain(Recipe.of(task="stsb", static=8, max_length=64, embedding_bits=4))
    assert [step.phase for step in narrow] == ["vectors", "static"]
    assert narrow[0].address == wide[0].address == other[0].address
    assert len({steps[1].address for steps in (narrow, wide, other)}) == 3
    assert (narrow[0].task, narrow[1].task, other[1].task) == ("", "cola", "stsb")
    assert chain(Recipe.of(task="cola", static=8, learning_rate=1e-2))[1].address == narrow[1].address
    assert chain(Recipe.of(task="cola", static=8, rest="8bit"))[1].address == narrow[1].address, "after the step"
    assert chain(Recipe.of(task="cola", model="other", static=8))[0].address != narrow[0].address


def test_seeds_plan_a_table_once() -> None:
    runs = plan(load_study("22_static"), load_profile("mini"), ["cola"], [0, 1, 2])
    assert len(runs) == 12 and {run.recipe.seed for run in runs} == {0}
    assert len({run.run_id for run in runs}) == 12
