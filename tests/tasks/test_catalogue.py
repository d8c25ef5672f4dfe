"""The catalogue finds every task by name."""

from __future__ import annotations

import pytest

from xtc_study.tasks.catalogue import TASKS, find_task, load_task
from xtc_study.tasks.metrics import METRICS


def test_catalogue_has_eight_glue_and_five_generated_tasks() -> None:
    assert set(TASKS) == {
        *("cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte"),
        *("toy-acceptability", "toy-sentiment", "toy-paraphrase", "toy-similarity", "toy-inference"),
    }
    for name, task in TASKS.items():
        assert task.name == name and set(task.metrics) <= set(METRICS) and task.question.endswith("?")
    assert TASKS["mnli"].eval_splits == ("matched", "mismatched")
    assert TASKS["stsb"].num_labels == 1 and TASKS["stsb"].is_regression


def test_error_about_an_unknown_task_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="task='imdb': unknown; expected one of cola, sst2"):
        find_task("imdb")
    with pytest.raises(ValueError, match=r"task='\.\./rte'"):
        load_task("../rte")
