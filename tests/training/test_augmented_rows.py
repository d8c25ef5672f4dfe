"""Augmented rows from recipe to training: shared between runs, resumed, and checked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from datasets import DatasetDict
from transformers import BertForMaskedLM, BertModel

from xtc_study.model_source import ModelError
from xtc_study.places import Places
from xtc_study.recipe import Recipe
from xtc_study.runs.step_store import DamagedStepError
from xtc_study.tasks.augmentation import augment
from xtc_study.tasks.catalogue import load_task
from xtc_study.tasks.task import DataError
from xtc_study.training import pipeline as module
from xtc_study.training.pipeline import Pipeline
from xtc_study.training.pretrained import load_encoder, load_tokenizer

QUICK = {"batch_size": 16, "max_length": 32, "teacher_epochs": 1, "epochs": 1, "augmentation_copies": 4}


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every task has 64 training and 48 dev examples."""

    def load(name: str, data_dir: Path | None = None, files: Sequence[Path] = ()) -> DatasetDict:
        text = load_task(name, data_dir, files)
        return DatasetDict({split: rows.select(range(64 if split == "train" else 48)) for split, rows in text.items()})

    monkeypatch.setattr(module, "load_task", load)


def recipe(**fields: Any) -> Recipe:
    return Recipe.of(**{"task": "toy-sentiment", "augmentation": "synonyms", **QUICK, **fields})


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two models: ``mlm`` has a masked-LM head, ``encoder`` has none."""
    folder = tmp_path_factory.mktemp("models")
    config = load_encoder("builtin:tiny", module.find_task("toy-sentiment"), 0).config
    for name, kind in (("mlm", BertForMaskedLM), ("encoder", BertModel)):
        kind(config).save_pretrained(folder / name)
        load_tokenizer("builtin:tiny").save_pretrained(folder / name)
    return folder


def test_augmentation_does_not_change_the_number_of_steps(tmp_path: Path) -> None:
    plain = Pipeline(recipe(augmentation="none"), Places(tmp_path))
    pipeline = Pipeline(recipe(), Places(tmp_path))
    assert plain.teacher().reused == 0 and pipeline.teacher().reused == 1, "the teacher learns from the plain rows"
    ends = [max(point["step"] for point in each.student().curve) for each in (plain, pipeline)]
    assert ends == [4, 4]
    assert pipeline.pool is not None
    rows, record = pipeline.pool.rows(), pipeline.pool.record()
    assert 64 < len(rows) == record["rows"] <= 64 * 5 and record["plain_rows"] == 64
    plain_ids = set(map(tuple, plain.train_rows["input_ids"][:]))
    assert plain_ids < set(map(tuple, rows["input_ids"][:]))
    assert rows.column_names == plain.train_rows.column_names and rows.features == plain.train_rows.features
    step = json.loads((tmp_path / "steps" / pipeline.steps[-1].address / "step.json").read_text())
    assert step["params"]["augmentation"] == "synonyms" and step["params"]["augmentation_copies"] == 4


def test_seeds_and_arms_share_rows_unless_their_parameters_differ(tmp_path: Path) -> None:
    first = Pipeline(recipe(), Places(tmp_path)).pool
    assert first is not None
    first.rows()
    for fields in ({"seed": 1}, {"weight_bits": 2}, {"layers": 2}):
        same = Pipeline(recipe(**fields), Places(tmp_path)).pool
        assert same is not None
        assert (same.address, same.tokens_address, same.source) == (first.address, first.tokens_address, None)
    assert len(list(tmp_path.glob("steps/augment-*/step.json"))) == 1
    table = tmp_path / "table.tsv"
    table.write_text("food\tn\tsoup\n")
    others = [Pipeline(recipe(**fields), Places(tmp_path)).pool for fields in (
        {"augmentation_copies": 5}, {"augmentation_probability": 0.5}, {"augmentation_candidates": 3}
    )]  # fmt: skip
    others.append(Pipeline(recipe(), Places(tmp_path, synonyms=table)).pool)
    assert len({pool.address for pool in (first, *others) if pool is not None}) == 5
    shorter = Pipeline(recipe(max_length=8), Places(tmp_path)).pool
    assert shorter is not None
    assert shorter.address == first.address and shorter.tokens_address != first.tokens_address


def test_the_hash_of_the_synonym_table_is_recorded(tmp_path: Path) -> None:
    table = tmp_path / "table.tsv"
    table.write_text("food\tn\tsoup\n")
    pipeline = Pipeline(recipe(), Places(tmp_path, synonyms=table))
    assert pipeline.pool is not None
    record = pipeline.pool.record()
    assert record["synonyms"] == pipeline.steps[-1].params["synonyms"] and len(record["synonyms"]) == 64
    changed = {len(row["sentence"].split()) for path in pipeline.pool.files() for row in _text(path) if row["variant"]}
    assert changed, "food became soup somewhere"


def _text(path: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def test_a_masked_lm_replaces_words_by_words_of_its_vocabulary(tmp_path: Path, models: Path) -> None:
    places = Places(tmp_path, models_dir=models)
    pipeline = Pipeline(recipe(model="mlm", augmentation="masked-lm"), places)
    assert pipeline.student().model is not None and pipeline.pool is not None
    rows = [row for path in pipeline.pool.files() for row in _text(path)]
    assert sum(row["variant"] == 0 for row in rows) == 64 and len(rows) > 200
    unknown = pipeline.tokenizer.unk_token_id
    assert not any(unknown in ids for ids in pipeline.pool.rows()["input_ids"][:])


def test_a_killed_augmentation_resumes_from_its_last_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augment, "CHUNK_ROWS", 16)
    whole = Pipeline(recipe(), Places(tmp_path / "whole")).pool
    pool = Pipeline(recipe(), Places(tmp_path / "killed")).pool
    assert whole is not None and pool is not None
    make, calls = augment.Augmenter.augmented, []

    def killed(self: Any, rows: Any) -> Any:
        calls.append(len(rows))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return make(self, rows)

    monkeypatch.setattr(augment.Augmenter, "augmented", killed)
    with pytest.raises(KeyboardInterrupt):
        pool.rows()
    assert not list((tmp_path / "killed" / "steps").glob("*/step.json"))
    again = Pipeline(recipe(), Places(tmp_path / "killed")).pool
    assert again is not None
    rows = again.rows().to_dict()
    assert len(calls) == 3 + 2, "two of the four files were there"
    assert rows == whole.rows().to_dict()


def test_damaged_rows_are_created_again(tmp_path: Path) -> None:
    pool = Pipeline(recipe(), Places(tmp_path)).pool
    assert pool is not None
    count = len(pool.rows())
    (tmp_path / "steps" / pool.tokens_address / "tokens.arrow").write_bytes(b"half")
    with pytest.raises(DamagedStepError, match=r"tokens-.* is damaged; the next run will rebuild it"):
        pool.rows()
    assert len(pool.rows()) == count


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"task": "toy-inference"}, DataError, "no word of 'toy-inference' can be replaced"),
        ({"task": "cola"}, DataError, "'cola' needs a synonym table: pass one with --synonyms FILE"),
        ({"augmentation": "masked-lm"}, ModelError, "'builtin:tiny' is not pre-trained .*augmentation='synonyms'"),
        (
            {"augmentation": "masked-lm", "model": "encoder"},
            ModelError,
            r"model='encoder' has no weights of a masked-LM head \(missing: cls\.predictions.*augmentation='synonyms'",
        ),
    ],
    ids=["no word", "no table", "not pre-trained", "no head"],
)
def test_augmentation_without_a_source_of_words_is_an_error_before_writing(
    fields: dict[str, Any], error: type[Exception], message: str, tmp_path: Path, models: Path
) -> None:
    with pytest.raises(error, match=message):
        Pipeline(recipe(**fields), Places(tmp_path, models_dir=models))
    assert not (tmp_path / "steps").exists()


def test_a_synonym_table_without_words_of_the_task_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "table.tsv").write_text("zebra\tn\thorse\n")
    with pytest.raises(DataError, match=r"table.tsv'?: no word of task 'toy-sentiment' has a synonym there"):
        Pipeline(recipe(), Places(tmp_path, synonyms=tmp_path / "table.tsv"))


def test_augmented_rows_are_cut_to_what_the_model_reads(tmp_path: Path) -> None:
    pipeline = Pipeline(recipe(max_length=128), Places(tmp_path))
    assert pipeline.pool is not None and pipeline.pool.longest == 64
    pipeline.pool.longest = 8  # as if the model read no more
    assert max(pipeline.pool.rows()["length"]) == 8
