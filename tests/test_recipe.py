from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from xtc_study.recipe import GENERATED, VERSION, Recipe, RecipeError
from xtc_study.tasks.generated.toy import TOY_TASKS
from xtc_study.tasks.glue import GLUE_TASKS

DEFAULTS: dict[str, Any] = {
    "model": "builtin:tiny",
    "seed": 0,
    "batch_size": 32,
    "max_length": 128,
    "teacher_layers": None,
    "teacher_epochs": 3,
    "teacher_learning_rate": 2e-5,
    "layers": None,
    "ffn": None,
    "ffn_by": "importance",
    "start": "teacher",
    "order": "reduce-then-quantise",
    "reduce_stages": 1,
    "reduce_epochs": 3,
    "reduce_learning_rate": 5e-5,
    "weight_bits": 1,
    "embedding_bits": None,
    "activation_bits": 8,
    "granularity": "tensor",
    "quantise_pooler": True,
    "quantise_attention": False,
    "activation_scale": "token",
    "activation_range": "dynamic",
    "weight_clip": None,
    "stages": 1,
    "epochs": 3,
    "learning_rate": 2e-5,
    "warmup": 0.1,
    "weight_decay": 0.01,
    "pad_in_loss": False,
    "teacher_dropout": False,
    "augmentation": "none",
    "augmentation_copies": 10,
    "augmentation_probability": 0.4,
    "augmentation_candidates": 15,
    "quantise_tables": False,
    "rest": "fp32",
    "vocabulary": "full",
    "holdout": None,
    "static": None,
    "student_weight_decay": None,
    "warmdown": None,
    "optimizer": "adamw",
    "muon_learning_rate": 2e-4,
    "averaging": 0,
    "attention_loss": "scores",
    "relation_layer": None,
    "attention_weight": 1,
    "hidden_weight": 1,
    "label_weight": 0,
    "temperature": 1,
    "intervention": 0,
    "progressive": 0,
    "weight_scale": "mean",
    "two_bit_levels": "ternary",
    "input_norm": "none",
    "weight_start": "copied",
    "word_start": "model",
}


def test_defaults_are_part_of_every_run_id() -> None:
    values = Recipe.of(task="cola").model_dump(mode="json")
    assert values.pop("task") == "cola"
    assert (VERSION, values) == (1, DEFAULTS), (
        "A default changed, so recipes that leave it out mean another model under the id they had: bump VERSION in "
        "xtc_study/recipe.py, then this literal. A new field whose default does what was done before needs no bump."
    )


def test_a_pinned_run_id() -> None:
    assert Recipe.of(task="toy").run_id == "toy-all-w1a8-s1-seed0-99a1b3e1ac"
    text = '{"task":"toy","version":1}'
    assert Recipe.of(task="toy").run_id.endswith(hashlib.sha256(text.encode()).hexdigest()[:10])


def test_generated_tasks_have_a_version_of_their_own() -> None:
    text = '{"generated":2,"task":"toy-inference","version":1}'
    assert Recipe.of(task="toy-inference").run_id.endswith(hashlib.sha256(text.encode()).hexdigest()[:10])
    assert all(task.startswith(GENERATED) for task in TOY_TASKS)
    assert not any(task.startswith(GENERATED) for task in GLUE_TASKS)


@pytest.mark.parametrize(
    ("fields", "slug"),
    [
        ({}, "mnli-all-w1a8-s1-seed0-"),
        ({"layers": 6, "weight_bits": 2, "activation_bits": 32, "stages": 3, "seed": 7}, "mnli-6l-w2a32-s3-seed7-"),
        ({"layers": [1, 4, 7]}, "mnli-l1.4.7-w1a8-s1-seed0-"),
    ],
    ids=["defaults", "a count", "a list"],
)
def test_the_slug_says_what_varies(fields: dict, slug: str) -> None:
    assert re.fullmatch(re.escape(slug) + "[0-9a-f]{10}", Recipe.of(task="mnli", **fields).run_id)


def test_the_run_id_is_a_safe_folder_name() -> None:
    run_id = Recipe.of(task="../My Task/" + "x" * 200, layers=list(range(40))).run_id
    assert re.fullmatch(r"[a-z0-9._-]{1,91}", run_id)
    assert run_id != Recipe.of(task="../My Task/" + "x" * 200, layers=list(range(41))).run_id


OTHERS: dict[str, Any] = {
    "model": "m", "seed": 1, "batch_size": 16, "max_length": 64, "teacher_epochs": 1, "teacher_learning_rate": 1e-3,
    "layers": 5, "start": "pretrained", "order": "together", "reduce_stages": 2, "reduce_epochs": 1,
    "reduce_learning_rate": 1e-3, "weight_bits": 2, "embedding_bits": 8, "activation_bits": 4, "granularity": "row",
    "quantise_pooler": False, "quantise_attention": True, "activation_scale": "tensor", "weight_clip": 2.5,
    "stages": 2, "epochs": 1, "learning_rate": 1e-3, "warmup": 0, "weight_decay": 0, "pad_in_loss": True,
    "teacher_dropout": True,
    "rest": "fp16", "quantise_tables": True, "vocabulary": "task",
    "ffn": "1/2", "teacher_layers": 6, "holdout": "1/5",
    "student_weight_decay": 0, "warmdown": 0.25, "optimizer": "muon", "averaging": 0.9, "attention_loss": "maps",
    "attention_weight": 2, "hidden_weight": 2, "label_weight": 1, "temperature": 2, "intervention": 0.3,
    "progressive": 0.2, "weight_scale": "learned", "input_norm": "rms", "weight_start": "least-squares",
    "word_start": "static",
}  # fmt: skip


AUGMENTED: dict[str, Any] = {
    "augmentation_copies": 30,
    "augmentation_probability": 1,
    "augmentation_candidates": 5,
}


def test_without_augmentation_its_numbers_are_no_part_of_a_run() -> None:
    """A profile may say how many variants its tasks get; arms that make none keep their ids."""
    assert Recipe.of(task="cola", **AUGMENTED).run_id == Recipe.of(task="cola").run_id


def test_where_no_unit_is_cut_how_they_are_chosen_is_no_part_of_a_run() -> None:
    assert Recipe.of(task="cola", ffn_by="magnitude").run_id == Recipe.of(task="cola").run_id


def test_without_muon_its_rate_is_no_part_of_a_run() -> None:
    assert Recipe.of(task="cola", muon_learning_rate=1e-3).run_id == Recipe.of(task="cola").run_id


def test_every_field_shapes_the_run_id() -> None:
    with_others = {"task", "activation_range", "augmentation", "ffn_by", "static"}
    with_others |= {"muon_learning_rate", "relation_layer", "two_bit_levels"}
    assert {*OTHERS, *AUGMENTED, *with_others} == set(Recipe.model_fields)
    recipes = [Recipe.of(task="cola"), Recipe.of(task="sst2")]
    recipes += [Recipe.of(task="cola", **{field: value}) for field, value in OTHERS.items()]
    recipes += [Recipe.of(task="cola", activation_scale="tensor", activation_range="static")]
    recipes += [Recipe.of(task="cola", ffn="1/2", ffn_by="magnitude")]
    recipes += [Recipe.of(task="cola", optimizer="muon", muon_learning_rate=1e-3)]
    recipes += [Recipe.of(task="cola", attention_loss="relations", relation_layer=layer) for layer in (None, 0, 1)]
    recipes += [Recipe.of(task="cola", weight_bits=2, two_bit_levels="odd")]
    recipes += [Recipe.of(task="cola", augmentation=method) for method in ("synonyms", "masked-lm")]
    recipes += [
        Recipe.of(task="cola", augmentation="synonyms", **{field: value}) for field, value in AUGMENTED.items()
    ]
    assert len({recipe.run_id for recipe in recipes}) == len(recipes)


def test_equal_values_give_equal_ids() -> None:
    one = Recipe.of(task="cola", epochs=6, layers=[1, 3], weight_decay=0)
    other = Recipe.of(weight_decay=0.0, layers=(1, 3), epochs=6.0, task="cola")
    assert one.run_id == other.run_id
    assert Recipe.of(task="cola", **DEFAULTS).run_id == Recipe.of(task="cola").run_id


def test_the_run_id_is_the_same_in_every_process() -> None:
    fields = {"task": "mnli", "layers": [1, 3], "learning_rate": 3e-5, "weight_clip": 2.5, "epochs": 1.5}
    program = (
        "import json, sys; from xtc_study.recipe import Recipe; print(Recipe.of(**json.loads(sys.argv[1])).run_id)"
    )
    ids = {Recipe.of(**fields).run_id}
    for hash_seed, order in (("1", fields), ("2", dict(reversed(fields.items())))):
        command = [sys.executable, "-c", program, json.dumps(order)]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        ids.add(done.stdout.strip())
    assert len(ids) == 1


def test_scientific_leaves_defaults_out() -> None:
    assert Recipe.of(task="cola", seed=0, weight_bits=1).scientific() == {"task": "cola"}
    assert Recipe.of(task="cola", layers=[1, 3], epochs=6, seed=2).scientific() == {
        "task": "cola",
        "layers": [1, 3],
        "epochs": 6,
        "seed": 2,
    }


BAD: list[tuple[str, Any, str]] = [
    ("task", " ", "expected a name"),
    ("task", 3, "expected text"),
    ("model", "a\nb", "expected a name"),
    ("start", "", "expected a name"),
    ("seed", -1, "expected at least 0"),
    ("seed", 2**31, "less than"),
    ("seed", 1.5, "expected a whole number"),
    ("seed", "1", "expected a number, not text"),
    ("seed", True, "not true or false"),
    ("batch_size", 0, "expected at least 1"),
    ("batch_size", 10**20, "expected less than 2147483648"),
    ("max_length", 3, "expected at least 4"),
    ("teacher_epochs", -1, "expected at least 0"),
    ("epochs", 0, "expected more than 0"),
    ("epochs", -1, "expected more than 0"),
    ("epochs", float("inf"), "finite"),
    ("epochs", float("nan"), ""),
    ("epochs", None, "expected a number"),
    ("reduce_epochs", "3", "expected a number, not text"),
    ("learning_rate", 0, "expected more than 0"),
    ("teacher_learning_rate", True, "not true or false"),
    ("reduce_learning_rate", "2e-5", "expected a number, not text"),
    ("layers", 0, "expected a count of at least 1"),
    ("layers", "6", "expected a count of at least 1, a share such as 1/2, a list of teacher layers"),
    ("layers", 2.5, "expected a count of at least 1"),
    ("layers", True, "not true or false"),
    ("layers", [], "at least one teacher layer"),
    ("layers", [3, 1], "ascending order"),
    ("layers", [1, 1], "ascending order"),
    ("layers", {"a": 1}, "expected a count of at least 1"),
    ("layers", ["1", "3"], "expected"),
    ("layers", [True, 3], "expected"),
    ("order", "reverse", "reduce-then-quantise"),
    ("reduce_stages", 4, "0, 1, 2 or 3"),
    ("stages", -1, "0, 1, 2 or 3"),
    ("stages", None, "0, 1, 2 or 3"),
    ("weight_bits", 0, "expected 1 (binary), 2 (ternary), 3 to 8, or 32"),
    ("weight_bits", 9, "expected 1 (binary)"),
    ("weight_bits", 16, "expected 1 (binary)"),
    ("weight_bits", 1.5, "expected 1 (binary)"),
    ("weight_bits", "1", "expected"),
    ("weight_bits", None, "expected a whole number"),
    ("embedding_bits", 12, "expected 1 (binary)"),
    ("activation_bits", 1, "expected 2 to 8, or 32"),
    ("activation_bits", 16, "expected 2 to 8, or 32"),
    ("granularity", "column", "'group:N'"),
    ("granularity", "group:0", "'group:N'"),
    ("granularity", "group:", "'group:N'"),
    ("granularity", "group:-1", "'group:N'"),
    ("granularity", "group:64\n", "'group:N'"),
    ("quantise_pooler", "perhaps", "expected true or false"),
    ("quantise_pooler", None, "expected true or false"),
    ("activation_scale", "row", "'token' or 'tensor'"),
    ("activation_range", "fixed", "'dynamic' or 'static'"),
    ("weight_clip", 0, "expected more than 0"),
    ("warmup", 1, "less than 1"),
    ("warmup", -0.1, "expected at least 0"),
    ("weight_decay", -1, "expected at least 0"),
    ("pad_in_loss", 2, "expected true or false"),
    ("teacher_dropout", "x", "expected true or false"),
    ("vocabulary", "small", "'full' or 'task'"),
    ("teacher_layers", "3/2", "at most 1/1 of the encoder's layers"),
    ("teacher_layers", [3, 1], "encoder layers in ascending order"),
    ("teacher_layers", 0, "a list of encoder layers"),
    ("ffn", "3/2", "at most 1/1 of the teacher's units"),
    ("ffn", "half", "expected a share such as 1/2"),
    ("ffn", 0.5, "expected a share such as 1/2"),
    ("ffn", True, "not true or false"),
    ("ffn_by", "size", "'importance' or 'magnitude'"),
]


@pytest.mark.parametrize(("field", "value", "expected"), BAD, ids=[f"{field}={value!r}" for field, value, _ in BAD])
def test_a_bad_value_is_named_with_its_field(field: str, value: Any, expected: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.of(**{"task": "cola", field: value})
    message = str(caught.value)
    assert f"{field}={value!r}: " in message
    assert expected in message


def test_one_line_a_wrong_field() -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.of(task="cola", seed=-1, weight_bits=9, layers=[-1])
    lines = str(caught.value).splitlines()
    assert sorted(line.partition("=")[0] for line in lines) == ["layers", "seed", "weight_bits"]


def test_the_task_is_required() -> None:
    with pytest.raises(RecipeError, match="task: is required"):
        Recipe.of()


def test_unknown_fields_are_named_with_those_there_are() -> None:
    with pytest.raises(RecipeError, match=r"'bits', 'lr'; the fields are: task, model, .*learning_rate"):
        Recipe.of(task="cola", lr=1, bits=2)


def test_a_static_range_needs_one_scale_a_tensor() -> None:
    with pytest.raises(RecipeError, match="activation_range 'static' needs activation_scale 'tensor'"):
        Recipe.of(task="cola", activation_range="static")
    assert Recipe.of(task="cola", activation_range="static", activation_scale="tensor").activation_range == "static"


def test_warm_up_and_warm_down_share_a_stages_steps() -> None:
    with pytest.raises(RecipeError, match=r"warmup=0\.4 and warmdown=0\.7 take more than all of a stage's steps"):
        Recipe.of(task="cola", warmup=0.4, warmdown=0.7)
    for tenths in range(10):
        assert Recipe.of(task="cola", warmup=tenths / 10, warmdown=1 - tenths / 10).warmdown == 1 - tenths / 10
    assert Recipe.of(task="cola", warmup=0.1, warmdown=0.9).warmdown == 0.9, "no rounding error refuses a sum of 1"


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Recipe.of(task="cola").seed = 3  # type: ignore[misc]


def test_from_names_takes_what_is_a_field() -> None:
    names = {"task": "cola", "weight_bits": 2, "results_dir": "x", "__name__": "__main__", "json": json}
    assert Recipe.from_names(names) == Recipe.of(task="cola", weight_bits=2)


def test_embeddings_follow_the_weights_unless_told() -> None:
    assert Recipe.of(task="cola", weight_bits=2).embedding_bits_used == 2
    assert Recipe.of(task="cola", weight_bits=2, embedding_bits=8).embedding_bits_used == 8


@pytest.mark.parametrize(
    ("fields", "low"),
    [
        ({"weight_bits": 32, "activation_bits": 32}, False),
        ({"weight_bits": 32, "activation_bits": 8}, True),
        ({"weight_bits": 32, "activation_bits": 32, "embedding_bits": 8}, True),
        ({"weight_bits": 1, "activation_bits": 32, "embedding_bits": 32}, True),
    ],
    ids=["none", "activations", "embeddings", "weights"],
)
def test_what_is_low_bit(fields: dict, low: bool) -> None:
    assert Recipe.of(task="cola", **fields).is_low_bit is low


def test_the_schema_says_what_a_field_means() -> None:
    fields = Recipe.model_json_schema()["properties"]
    assert fields["max_length"]["description"] == "Longest input in tokens; longer texts are cut."
    assert {name for name, field in fields.items() if "description" not in field} <= {
        "batch_size",
        "weight_decay",
        *(name for name in fields if name.endswith(("learning_rate", "reduce_epochs"))),
    }


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"weight_clip": 2.5}, r"weight_clip=2\.5 needs weight_scale 'mean'"),
        ({"weight_bits": 32}, "weight_scale='learned' needs weight_bits of 1 to 8"),
        ({"static": 64}, r"static=64 takes no weight_scale \('learned'\)"),
    ],
)
def test_learned_scales_are_refused_where_they_fit_nothing(fields: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Recipe.of(task="cola", weight_scale="learned", **fields)


def test_levels_without_a_zero_need_two_bits() -> None:
    with pytest.raises(RecipeError, match="two_bit_levels='odd' needs weight_bits or embedding_bits of 2"):
        Recipe.of(task="cola", two_bit_levels="odd")
    assert Recipe.of(task="cola", embedding_bits=2, two_bit_levels="odd").embedding_bits == 2
