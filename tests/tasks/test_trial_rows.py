"""The rows that a trial trains on and is scored on: never dev rows."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from datasets import DatasetDict

from xtc_study.tasks.catalogue import find_task, load_task
from xtc_study.tasks.task import DataError, as_dataset
from xtc_study.tasks.trial_rows import SPLIT, held_out_record, hold_out, trial_rows

GLUE = Path(__file__).parents[1] / "compat" / "fixtures" / "data"


def test_a_trial_has_training_rows_in_place_of_dev_rows() -> None:
    task, text = trial_rows(find_task("sst2"), "1/5", GLUE)
    assert task.eval_splits == (SPLIT,) and set(text) == {"train", SPLIT}
    train = load_task("sst2", GLUE)["train"]
    parts = [row for split in text for row in text[split]]
    assert sorted(parts, key=lambda row: row["idx"]) == list(train), "each row once, with its number"
    texts = {split: set(text[split]["sentence"][:]) for split in text}
    assert not texts["train"] & texts[SPLIT], "rows of one text stay together"
    assert held_out_record(None, text) is None
    assert held_out_record("1/5", text) == {
        "share": "1/5", "seed": 0, "rows": len(text[SPLIT]), "train_rows": len(text["train"])
    }  # fmt: skip


def test_classes_keep_their_shares() -> None:
    task, text = trial_rows(find_task("toy-inference"), "1/5")
    labels = text[SPLIT]["label"][:]
    # 5,000 rows whose classes alternate: 1,667, 1,667 and 1,666.
    assert [labels.count(label) for label in range(3)] == [333, 333, 333]
    assert len(text["train"]) == 5000 - 999 and task.labels == find_task("toy-inference").labels


def test_a_regression_holds_out_its_share_of_texts() -> None:
    _, text = trial_rows(find_task("toy-similarity"), "1/4")
    assert {split: len(text[split]) for split in text} == {"train": 3750, SPLIT: 1250}


def test_the_same_rows_are_held_out_without_the_dev_file_or_with_noise_in_it(tmp_path: Path) -> None:
    _, there = trial_rows(find_task("sst2"), "1/5", GLUE)
    folder = tmp_path / "SST-2"
    shutil.copytree(GLUE / "SST-2", folder)
    (folder / "dev.tsv").write_text("no table at all")
    _, noise = trial_rows(find_task("sst2"), "1/5", tmp_path)
    (folder / "dev.tsv").unlink()
    _, gone = trial_rows(find_task("sst2"), "1/5", tmp_path)
    for text in (noise, gone):
        assert {split: list(text[split]) for split in text} == {split: list(there[split]) for split in there}


def test_a_task_too_small_to_hold_rows_out_is_refused() -> None:
    task = find_task("sst2")
    text = DatasetDict(train=as_dataset(task, [["good", "good"]], [1, 1]))
    with pytest.raises(DataError, match=r"holdout='1/5': of 2 training rows of task 'sst2', none would be left"):
        hold_out(task, text, "1/5")
