"""A classifier fine-tuned elsewhere: its classes are found by name, and a head that says nothing is not used."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from xtc_study.tasks.task import Task
from xtc_study.training.heads import class_names, match_head
from xtc_study.training.pretrained import load_encoder, load_with_head

TASK = Task("t", "?", ("sentence",), ("bad", "good", "so_so"), ("accuracy",))
REGRESSION = Task("t", "?", ("sentence",), (), ("pearson",))


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (("bad", "good", "so_so"), (0, 1, 2)),
        (("so_so", "bad", "good"), (1, 2, 0)),
        (("SO-SO", "Good", " bad"), (2, 1, 0)),
        (("good", "So so", "bad"), (2, 0, 1)),
    ],
)
def test_classes_are_found_by_name(names: tuple[str, ...], order: tuple[int, ...]) -> None:
    head = match_head(names, 3, TASK)
    assert (head.kind, head.order) == ("matched", order)
    assert ("into the task's order" in head.text) == (order != (0, 1, 2))


@pytest.mark.parametrize(
    ("names", "outputs", "message"),
    [
        (("good", "bad"), 2, "has 2 outputs, the task 3 (bad, good, so_so); one is drawn"),
        (("a", "b", "c"), 3, "knows a, b, c, the task bad, good, so_so; one is drawn"),
        (("good", "Good", "bad"), 3, "knows good, Good, bad"),
        (None, 3, "does not name the 3 classes of its head (id2label)"),
    ],
)
def test_a_head_of_other_classes_is_not_used(names: tuple[str, ...] | None, outputs: int, message: str) -> None:
    head = match_head(names, outputs, TASK)
    assert head.kind == "drawn" and message in head.text


def test_names_that_differ_in_case_alone_are_told_apart_where_they_are_written_alike() -> None:
    task = Task("t", "?", ("sentence",), ("US", "us"), ("accuracy",))
    assert match_head(("us", "US"), 2, task).order == (1, 0)
    assert match_head(("u-s", "US"), 2, task).kind == "drawn"


def test_a_regression_s_head_has_one_output() -> None:
    assert match_head(None, 1, REGRESSION).kind == "matched"
    assert match_head(None, 1, REGRESSION, unit_known=False).kind == "drawn"
    assert "has 2 outputs" in match_head(("bad", "good"), 2, REGRESSION, unit_known=False).text
    assert match_head(("bad", "good"), 2, REGRESSION).kind == "drawn"
    assert match_head(None, 1, TASK).kind == "drawn"


def test_names_come_from_either_table_of_the_configuration_and_placeholders_are_none() -> None:
    config = transformers.BertConfig(num_labels=2)
    assert class_names(config) is None, "LABEL_0, LABEL_1"
    config.id2label = {"1": "good", "0": "bad"}
    assert class_names(config) == ("bad", "good")
    config = transformers.BertConfig(num_labels=2)
    config.label2id = {"good": 0, "bad": 1}
    assert class_names(config) == ("good", "bad")
    config.label2id = {"good": 1, "bad": 2}
    assert class_names(config) is None


@pytest.fixture
def tuned(tiny: Callable[..., Any], tmp_path: Path) -> Callable[..., tuple[Any, str]]:
    """``tuned(family, names)``: a saved classifier whose configuration names its classes so, and its folder."""

    def make(family: str, names: dict[int, str], **fields: Any) -> tuple[Any, str]:
        model = tiny(family, layers=1, labels=len(names))
        model.config.id2label, model.config.label2id = names, {name: number for number, name in names.items()}
        model.save_pretrained(tmp_path / family)
        config = tmp_path / family / "config.json"
        config.write_text(json.dumps({**json.loads(config.read_text()), **fields}))
        return model, str(tmp_path / family)

    return make


def logits(model: Any, batch: dict[str, Any]) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(**batch).logits
    return found


def test_rows_of_the_head_are_put_into_the_task_s_order(
    family: str, tuned: Callable[..., Any], batch: Callable[..., Any]
) -> None:
    model, folder = tuned(family, {0: "good", 1: "so_so", 2: "bad"})
    loaded, head = load_with_head(folder, TASK, 0)
    assert head.kind == "matched" and "good, so_so, bad" in head.text
    assert torch.equal(logits(loaded, batch(family)), logits(model, batch(family))[:, [2, 0, 1]])
    assert loaded.config.id2label == {0: "bad", 1: "good", 2: "so_so"}
    assert loaded.config.label2id == {"bad": 0, "good": 1, "so_so": 2}


def test_a_head_without_names_is_drawn_by_the_seed_and_the_rest_is_kept(tuned: Callable[..., Any]) -> None:
    model, folder = tuned("bert", {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"})
    before = model.state_dict()
    one, same, other = (load_encoder(folder, TASK, seed).state_dict() for seed in (0, 0, 1))
    for name, tensor in one.items():
        assert torch.equal(tensor, same[name])
        assert torch.equal(tensor, before[name]) == (not name.startswith("classifier."))
    assert not torch.equal(one["classifier.weight"], other["classifier.weight"])
    assert one["classifier.bias"].eq(0).all() and 0.1 < one["classifier.weight"].std() < 0.3, "the range is 0.2"


def test_the_head_of_a_model_that_labels_word_pieces_is_not_used(tuned: Callable[..., Any]) -> None:
    names = {0: "bad", 1: "good", 2: "so_so"}
    model, folder = tuned("bert", names, architectures=["BertForTokenClassification"])
    loaded, head = load_with_head(folder, TASK, 0)
    assert head.kind == "drawn" and "BertForTokenClassification" in head.text
    assert not torch.equal(loaded.classifier.weight, model.classifier.weight)


def test_a_checkpoint_without_a_head_says_so_and_nothing_changes(tiny: Callable[..., Any], tmp_path: Path) -> None:
    tiny("bert", layers=1).bert.save_pretrained(tmp_path)
    loaded, head = load_with_head(str(tmp_path), TASK, 3)
    assert head.kind == "none"
    transformers.set_seed(3)
    plain = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path, num_labels=3).state_dict()
    assert all(torch.equal(tensor, plain[name]) for name, tensor in loaded.state_dict().items())
